import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  Callers as CallersContract,
  type KeysRequest,
  type RecheckRequest,
  type UseRequest,
  type WhoIsRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { DB, type Db } from './db.js';
import { LastUsed } from './last-used.js';
import { checkMaker } from './makers.js';
import type { IdentityPorts } from './ports.js';
import { recheck } from './recheck.js';
import { nobodySignedIn } from './refusals.js';
import { SigningKeys } from './signing-keys.js';
import { useToken } from './use-token.js';
import { whoIs } from './who-is.js';

@Serves(CallersContract)
export class Callers implements HandlerOf<typeof CallersContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
    @Inject(SigningKeys) private readonly keyring: SigningKeys,
    @Inject(LastUsed) private readonly lastUsed: LastUsed,
  ) {}

  async whoIs(request: WhoIsRequest) {
    const { ports, db, keyring: keys, lastUsed } = this;
    return whoIs({ ports, db, keys, lastUsed }, request);
  }

  async recheck({ caller }: RecheckRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    if (caller === undefined) throw nobodySignedIn();
    const today = await recheck(this.db, caller, this.ports.clock());
    if (today.token !== undefined) await checkMaker(this.ports, today.token);
    return { caller: { ...today.caller, address: caller.address } };
  }

  async keys(_request: KeysRequest) {
    return { jwksJson: await this.keyring.published() };
  }

  async use({ tokenId }: UseRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    return { remaining: await useToken(this.db, tokenId, this.ports.clock()) };
  }
}
