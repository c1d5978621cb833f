import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { FactVersion } from '@vivarium/invalidation/invalidations';
import { lockCaller } from './acting.js';
import type { Db, Tx } from './db.js';
import { needOwnership, type TokenOwner } from './owners.js';
import type { IdentityPorts } from './ports.js';
import { isTokenName } from './token-name.js';

// News of one change is one message, and a message of this many facts is still small.
const FACTS_PER_MESSAGE = 500;

/** What a revocation needs: the outbox, be it beside a running server or in it. */
export interface RevocationPorts extends Pick<IdentityPorts, 'clock'> {
  readonly invalidations: Pick<IdentityPorts['invalidations'], 'add'>;
}

/**
 * Revokes tokens and all that were made by them, and names them in the outbox, in the caller's transaction. Gives the ids.
 * Tokens that were revoked before are left as they are.
 */
export async function revokeTokens(
  tx: Tx,
  { invalidations, clock }: RevocationPorts,
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

/** Which of an owner's tokens. */
export type Which =
  | { readonly case: 'name'; readonly value: string }
  | { readonly case: 'id'; readonly value: string }
  | { readonly case: 'all' };

/**
 * Revokes one of the owner's tokens, or all, and gives how many. Throws Fault('not_found') if there is none of that name
 * or id, Fault('forbidden').
 */
export async function revokeOf(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  owner: TokenOwner,
  which: Which,
): Promise<number> {
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT 1 FROM accounts WHERE id = ${owner.id} FOR NO KEY UPDATE`;
      const acting = await lockCaller(tx, caller, ports.clock());
      const isPresented = which.case === 'id' && which.value === acting.token?.id;
      if (!isPresented) needOwnership(acting, owner, 'removing a token');
      const tokens = await findTokens(tx, owner, which);
      const revoked = await revokeTokens(
        tx,
        ports,
        tokens.map(({ id }) => id),
      );
      if (revoked.length > 0) await record(tx, ports, acting.message, owner, tokens, revoked.length);
      return revoked.length;
    }),
  );
}

/** Revokes the token that the caller came by; whoever holds it may end it. Throws Fault('invalid') for other credentials. */
export async function revokePresented(ports: IdentityPorts, db: Db, caller: Caller): Promise<number> {
  if (caller.credentialKind !== 'token') {
    throw new Fault('invalid', 'this request came without a token; name the token to remove, or send it');
  }
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const revoked = await revokeTokens(tx, ports, [caller.credentialId]);
      const owner = { id: caller.accountId, login: caller.login };
      const token = { id: caller.credentialId, name: caller.tokenName };
      if (revoked.length > 0) await record(tx, ports, caller, owner, [token], revoked.length);
      return revoked.length;
    }),
  );
}

interface Named {
  readonly id: string;
  readonly name: string;
}

async function findTokens(tx: Tx, owner: TokenOwner, which: Which): Promise<readonly Named[]> {
  const living = { ownerId: owner.id, revokedAt: null };
  const select = { id: true, name: true };
  // By tokens_living_name_key. No more rows than one owner may have.
  if (which.case === 'all') return tx.token.findMany({ where: living, select });
  const { value } = which;
  // What no token can be named is not looked up: the database refuses some of it.
  const isPossible = which.case === 'id' || isTokenName(value);
  const where = { ...living, [which.case]: value };
  const token = isPossible ? await tx.token.findFirst({ where, select }) : null;
  if (token !== null) return [token];
  throw new Fault(
    'not_found',
    which.case === 'id'
      ? `${owner.login} has no token of the id "${value.slice(0, 64)}"`
      : `${owner.login} has no token named "${value.slice(0, 128)}"; "anaconda auth --list" shows those that there are`,
  );
}

async function record(
  tx: Tx,
  { clock }: Pick<IdentityPorts, 'clock'>,
  actor: Caller,
  { id, login }: Pick<TokenOwner, 'id' | 'login'>,
  tokens: readonly Named[],
  revoked: number,
): Promise<void> {
  const [first] = tokens;
  const resource = tokens.length === 1 ? `token ${first?.name} of ${login}` : `${tokens.length} tokens of ${login}`;
  const before = { tokens: tokens.map(({ name }) => name), revoked };
  await addAudit(tx, { actor, action: 'token.revoke', ownerId: id, resource, before }, clock());
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
