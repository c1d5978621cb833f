import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { callerFromProto } from '@vivarium/trust/caller';
import { needScope } from './acting.js';
import { ask, type Db } from './db.js';
import type { TokenOwner } from './owners.js';
import { revokedToken, unknownToken } from './refusals.js';
import { tokenMessagesOf } from './token-message.js';

/** The owner's tokens that were not revoked, expired ones too, oldest first. Throws Fault('forbidden') without `api:read`. */
export async function listTokens(db: Db, caller: Caller, owner: TokenOwner) {
  needScope(callerFromProto(caller), 'api:read', 'listing tokens');
  // By tokens_living_name_key. No more rows than one owner may have.
  const rows = await ask(
    db.token.findMany({
      where: { ownerId: owner.id, revokedAt: null },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    }),
  );
  return tokenMessagesOf(db, rows);
}

/** The presented token. Needs no scope: it tells only what its holder holds. Throws Fault('invalid') for other credentials. */
export async function describeToken(db: Db, caller: Caller) {
  if (caller.credentialKind !== 'token') {
    throw new Fault('invalid', 'this request came without a token; send one to have it described');
  }
  const row = await ask(db.token.findUnique({ where: { id: caller.credentialId } }));
  if (row === null) throw unknownToken();
  if (row.revokedAt !== null) throw revokedToken(row.revokedAt);
  const [message] = await tokenMessagesOf(db, [row]);
  return message;
}
