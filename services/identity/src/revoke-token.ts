import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { FactVersion } from '@vivarium/invalidation/invalidations';
import { lockCaller, needScope } from './acting.js';
import type { Db, Tx } from './db.js';
import type { TokenOwner } from './owners.js';
import type { IdentityPorts } from './ports.js';

// News of one change is one message, and a message of this many facts is still small.
const FACTS_PER_MESSAGE = 500;

/**
 * Revokes tokens and all that were made by them, and names them in the outbox, in the caller's transaction. Gives the ids.
 * Tokens that were revoked before are left as they are.
 */
export async function revokeTokens(
  tx: Tx,
  { invalidations, clock }: Pick<IdentityPorts, 'invalidations' | 'clock'>,
  ids: readonly string[],
): Promise<readonly string[]> {
  const [facts, now] = [[] as FactVersion[], new Date(clock())];
  let generation = await revokeWhere(tx, now, ids);
  while (generation.length > 0) {
    facts.push(...generation.map(({ id, version }) => ({ tag: `token:${id}`, version: Number(version) })));
    // By generations, each in a statement of its own: making a token takes its parent's lock, which we hold by now, so
    // a child either was there before this statement or will find its parent revoked.
    generation = await revokeChildren(
      tx,
      now,
      generation.map(({ id }) => id),
    );
  }
  for (let at = 0; at < facts.length; at += FACTS_PER_MESSAGE) {
    await invalidations.add(tx, facts.slice(at, at + FACTS_PER_MESSAGE));
  }
  return facts.map(({ tag }) => tag.slice('token:'.length));
}

/** Revokes the owner's token of that name. Throws Fault('not_found') if there is none, Fault('forbidden') without `api:write`. */
export async function revokeNamed(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  owner: TokenOwner,
  name: string,
): Promise<void> {
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT 1 FROM accounts WHERE id = ${owner.id} FOR NO KEY UPDATE`;
      const { caller: acting } = await lockCaller(tx, caller, ports.clock());
      needScope(acting, 'api:write', 'removing a token by its name');
      await revokeTokens(tx, ports, [await findNamed(tx, owner, name)]);
    }),
  );
}

/** Revokes the token that the caller came by; whoever holds it may end it. Throws Fault('invalid') for other credentials. */
export async function revokePresented(ports: IdentityPorts, db: Db, caller: Caller): Promise<void> {
  if (caller.credentialKind !== 'token') {
    throw new Fault('invalid', 'this request came without a token; name the token to remove, or send it');
  }
  await retryConflicts(() => db.$transaction((tx) => revokeTokens(tx, ports, [caller.credentialId])));
}

async function findNamed(tx: Tx, owner: TokenOwner, name: string): Promise<string> {
  // What no token can be named is not looked up: the database refuses some of it.
  const isPossible = name.length <= 128 && !/\p{C}/u.test(name);
  // By tokens_living_name_key.
  const where = { ownerId: owner.id, name, revokedAt: null };
  const token = isPossible ? await tx.token.findFirst({ where, select: { id: true } }) : null;
  if (token !== null) return token.id;
  throw new Fault(
    'not_found',
    `${owner.login} has no token named "${name.slice(0, 128)}"; "anaconda auth --list" shows those that there are`,
  );
}

interface Revoked {
  readonly id: string;
  readonly version: bigint;
}

// By tokens_pkey.
function revokeWhere(tx: Tx, now: Date, ids: readonly string[]): Promise<Revoked[]> {
  return tx.$queryRaw`
    UPDATE tokens SET revoked_at = ${now}, version = version + 1
    WHERE id = ANY (${ids}) AND revoked_at IS NULL RETURNING id, version`;
}

// By tokens_parent_id_idx.
function revokeChildren(tx: Tx, now: Date, parentIds: readonly string[]): Promise<Revoked[]> {
  return tx.$queryRaw`
    UPDATE tokens SET revoked_at = ${now}, version = version + 1
    WHERE parent_id = ANY (${parentIds}) AND revoked_at IS NULL RETURNING id, version`;
}
