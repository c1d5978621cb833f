import { Inject } from '@nestjs/common';
import { restrictionsOf } from '@vivarium/access/restriction';
import { PORTS } from '@vivarium/boot/ports';
import {
  type FindNamedTokenRequest,
  NamedTokens as NamedTokensContract,
} from '@vivarium/contracts/gen/vivarium/identity/v1/named_tokens_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { restrictionsToProto } from '@vivarium/trust/caller';
import { findTokenFacts, type TokenFacts } from './credential-facts.js';
import { ask, DB, type Db } from './db.js';
import { identifyToken } from './identified.js';
import { checkMaker } from './makers.js';
import type { IdentityPorts } from './ports.js';

/** Tokens by their names, for the service that explains decisions. */
@Serves(NamedTokensContract)
export class NamedTokens implements HandlerOf<typeof NamedTokensContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async find({ ownerId, name }: FindNamedTokenRequest, call: Call) {
    const service = await this.ports.trust.serviceOf(call);
    if (service !== 'authz') throw new Fault('forbidden', `${call.subject} does not answer ${service}.`);
    const facts = await this.#living(ownerId, name);
    if (facts === undefined) throw new Fault('not_found', `There is no token "${name.slice(0, 128)}".`);
    return {
      id: facts.id,
      name: facts.name,
      scopes: facts.scopes,
      restrictions: restrictionsToProto(restrictionsOf(facts.restrictions)),
      refusal: await this.#refusalOf(facts),
    };
  }

  async #living(ownerId: string, name: string): Promise<TokenFacts | undefined> {
    // What no token can be named is not looked up: the database refuses some of it.
    if (name.length > 128 || /\p{C}/u.test(name)) return undefined;
    const where = { ownerId, name, revokedAt: null };
    // By tokens_living_name_key.
    const token = await ask(this.db.token.findFirst({ where, select: { id: true } }));
    return token === null ? undefined : findTokenFacts(this.db, { id: token.id });
  }

  async #refusalOf(facts: TokenFacts): Promise<string> {
    try {
      identifyToken(facts, this.ports.clock());
      await checkMaker(this.ports, facts);
      return '';
    } catch (error) {
      if (isFault(error) && error.code === 'unauthenticated') return error.message;
      throw error;
    }
  }
}
