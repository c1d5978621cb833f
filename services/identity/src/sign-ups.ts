import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type SignUpPolicyRequest,
  type SignUpRequest,
  SignUps as SignUpsContract,
} from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { ownAccountMessageOf } from './account-message.js';
import { DB, type Db } from './db.js';
import type { IdentityPorts } from './ports.js';
import { signUp } from './sign-up.js';

@Serves(SignUpsContract)
export class SignUps implements HandlerOf<typeof SignUpsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async policy(_request: SignUpPolicyRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    return { policy: this.ports.signUp ?? 'closed' };
  }

  async signUp(request: SignUpRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const account = await signUp(this.ports, this.db, request);
    await untilForgotten(this.ports.invalidations, `The account ${account.login} is made`);
    return { account: ownAccountMessageOf(account) };
  }
}
