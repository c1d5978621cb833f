import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type AuthorizeRequest,
  BrowserLogins as BrowserLoginsContract,
  type FindProgramRequest,
  type RedeemRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { callerOf } from './acting.js';
import { authorize } from './authorize.js';
import { DB, type Db } from './db.js';
import type { IdentityPorts } from './ports.js';
import { findProgram } from './programs.js';
import { ACCESS_LIFE_MS, redeem, refusedCode } from './redeem.js';

@Serves(BrowserLoginsContract)
export class BrowserLogins implements HandlerOf<typeof BrowserLoginsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async findProgram({ clientId }: FindProgramRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const { name, redirectUris } = findProgram(clientId);
    return { name, redirectUris: [...redirectUris] };
  }

  async authorize(request: AuthorizeRequest, call: Call) {
    return { code: await authorize(this.ports, this.db, await callerOf(this.ports, call), request) };
  }

  async redeem(request: RedeemRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const redeemed = await redeem(this.ports, this.db, request);
    if ('accessToken' in redeemed) {
      return { accessToken: redeemed.accessToken, expiresInSeconds: BigInt(ACCESS_LIFE_MS / 1_000) };
    }
    if (redeemed.ended) await untilForgotten(this.ports.invalidations, 'What came of this code is revoked');
    throw refusedCode();
  }
}
