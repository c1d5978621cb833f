import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { reached } from '@vivarium/boot/step';
import {
  type CreateTokenRequest,
  type DescribeTokenRequest,
  type ListTokensRequest,
  type RevokeTokenRequest,
  Tokens as TokensContract,
} from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { callerOf } from './acting.js';
import { createToken } from './create-token.js';
import { DB, type Db } from './db.js';
import { describeToken, listTokens } from './list-tokens.js';
import { recheckSuspension } from './makers.js';
import { ownerOf } from './owners.js';
import type { IdentityPorts } from './ports.js';
import { revokeNamed, revokePresented } from './revoke-token.js';
import { tokenMessageOf } from './token-message.js';

@Serves(TokensContract)
export class Tokens implements HandlerOf<typeof TokensContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async create(request: CreateTokenRequest, call: Call) {
    const caller = await callerOf(this.ports, call);
    await recheckSuspension(this.ports, this.db, caller);
    const owner = await ownerOf(this.ports, this.db, caller, request.organization);
    const { text, token, replaced } = await createToken(this.ports, this.db, caller, owner, request);
    // Who would not replace a living token has replaced a dead one, which no gateway lets in any more.
    if (replaced && !request.failIfExists) {
      await untilForgotten(
        this.ports.invalidations,
        'Ask again for the new token: the former one of that name is revoked',
      );
    }
    return { token: text, described: tokenMessageOf(token, owner.login) };
  }

  async list(request: ListTokensRequest, call: Call) {
    const caller = await callerOf(this.ports, call);
    const owner = await ownerOf(this.ports, this.db, caller, request.organization);
    return { tokens: await listTokens(this.db, caller, owner) };
  }

  async revoke({ which, organization }: RevokeTokenRequest, call: Call) {
    const caller = await callerOf(this.ports, call);
    if (which.case === 'name') {
      await recheckSuspension(this.ports, this.db, caller);
      const owner = await ownerOf(this.ports, this.db, caller, organization);
      await revokeNamed(this.ports, this.db, caller, owner, which.value);
    } else await revokePresented(this.ports, this.db, caller);
    await reached('revoke-after-commit');
    await untilForgotten(this.ports.invalidations, 'The token is revoked');
    return {};
  }

  async describe(_request: DescribeTokenRequest, call: Call) {
    return { token: await describeToken(this.db, await callerOf(this.ports, call)) };
  }
}
