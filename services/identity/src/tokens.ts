import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { reached } from '@vivarium/boot/step';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import {
  type CreateTokenRequest,
  type DescribeTokenRequest,
  type ListTokensRequest,
  type RenameTokenRequest,
  type RevokeLeakedRequest,
  type RevokeTokenRequest,
  Tokens as TokensContract,
} from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { callerOf, tokenMakerOf } from './acting.js';
import { createToken } from './create-token.js';
import { DB, type Db } from './db.js';
import type { Token } from './gen/prisma/client.js';
import { describeToken, listTokens } from './list-tokens.js';
import { recheckSuspension } from './makers.js';
import { ownerOf, ownerOfToken, ownerToManage } from './owners.js';
import type { IdentityPorts } from './ports.js';
import { renameToken } from './rename-token.js';
import { revokeLeaked } from './revoke-leaked.js';
import { revokeOf, revokePresented } from './revoke-token.js';
import { tokenMessagesOf } from './token-message.js';

@Serves(TokensContract)
export class Tokens implements HandlerOf<typeof TokensContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async create(request: CreateTokenRequest, call: Call) {
    const { ports, db } = this;
    const caller = await tokenMakerOf(ports, call);
    await recheckSuspension(ports, db, caller);
    const owner = await ownerOf(ports, db, caller, request.organization, 'own');
    const { text, token, replaced } = await createToken(ports, db, caller, owner, request);
    // Who would not replace a living token has replaced a dead one, which no gateway lets in any more.
    if (replaced && !request.failIfExists) {
      await untilForgotten(ports.invalidations, 'Ask again for the new token: the former one of that name is revoked');
    }
    return { token: text, ...(await this.#describe(token)) };
  }

  async list({ owner }: ListTokensRequest, call: Call) {
    const caller = await callerOf(this.ports, call);
    const { ports, db } = this;
    return { tokens: await listTokens(db, caller, await ownerToManage(ports, db, caller, owner, 'read')) };
  }

  async revoke(request: RevokeTokenRequest, call: Call) {
    const revoked = await this.#revoke(request, call);
    await reached('revoke-after-commit');
    await untilForgotten(this.ports.invalidations, 'The token is revoked');
    return { revoked: BigInt(revoked) };
  }

  async revokeLeaked(request: RevokeLeakedRequest, call: Call) {
    const service = await this.ports.trust.serviceOf(call);
    if (service !== 'gateway') throw new Fault('forbidden', `${call.subject} does not answer ${service}.`);
    await revokeLeaked(this.ports, this.db, request);
    return {};
  }

  async rename(request: RenameTokenRequest, call: Call) {
    const { ports, db } = this;
    const caller = await this.#callerOf(call);
    const owner = await ownerOfToken(ports, db, caller, request.id, 'rename');
    const renamed = await renameToken(ports, db, caller, owner, request);
    // Nobody is let in by a name, so nobody has to wait.
    ports.invalidations.wake();
    return { token: (await this.#describe(renamed)).described };
  }

  async describe(_request: DescribeTokenRequest, call: Call) {
    const token = await describeToken(this.db, await callerOf(this.ports, call));
    return token === undefined ? {} : { token };
  }

  async #revoke({ which, owner: login }: RevokeTokenRequest, call: Call): Promise<number> {
    const { ports, db } = this;
    if (which.case === 'presented' || which.case === undefined) {
      return revokePresented(ports, db, await callerOf(ports, call));
    }
    const caller = await this.#callerOf(call);
    const owner =
      which.case === 'id'
        ? await ownerOfToken(ports, db, caller, which.value, 'revoke')
        : await ownerToManage(ports, db, caller, login, 'own');
    return revokeOf(ports, db, caller, owner, which.case === 'all' ? { case: 'all' } : which);
  }

  /** Who calls, unless its organization's token is suspended: asked before any transaction. */
  async #callerOf(call: Call): Promise<Caller> {
    const caller = await callerOf(this.ports, call);
    await recheckSuspension(this.ports, this.db, caller);
    return caller;
  }

  async #describe(token: Token) {
    const [described] = await tokenMessagesOf(this.db, [token]);
    return described === undefined ? {} : { described };
  }
}
