import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { judgeMint, type Minted } from '@vivarium/access/mint';
import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { CreateTokenRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { mintToken } from '@vivarium/token/format';
import { restrictionsFromProto } from '@vivarium/trust/caller';
import { type Acting, lockCaller, needWhole } from './acting.js';
import type { Db, Tx } from './db.js';
import type { Token } from './gen/prisma/client.js';
import { noteOf } from './note.js';
import { needOwnership, type TokenOwner } from './owners.js';
import type { IdentityPorts } from './ports.js';
import { revokeTokens } from './revoke-token.js';
import { nameInUse, parseTokenName } from './token-name.js';

// A list of this many still fits into one answer.
const TOKENS_MAX = 500;
const USES_MAX = 1_000_000_000n;

export interface CreatedToken {
  /** Shown once, and stored nowhere. */
  readonly text: string;
  readonly token: Token;
  /** True if a token of that name was revoked for it. */
  readonly replaced: boolean;
}

/**
 * Makes a token of the owner for the caller. Throws Fault('conflict') for a name in use that shall not be replaced;
 * Fault('invalid') for what is asked; Fault('forbidden') for what is more than the caller's token.
 */
export function createToken(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  owner: TokenOwner,
  request: CreateTokenRequest,
): Promise<CreatedToken> {
  const [name, uses, nowMs] = [parseTokenName(request.name), parseUses(request.uses), ports.clock()];
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      // Everything that gives or takes this owner's names goes one after the other.
      await tx.$executeRaw`SELECT 1 FROM accounts WHERE id = ${owner.id} FOR NO KEY UPDATE`;
      const acting = await lockCaller(tx, caller, nowMs);
      if (owner.through !== 'self') needOwnership(acting, owner, `creating a token of ${owner.login}`);
      const minted = judge(acting, request, nowMs);
      const replaced = await freeName(tx, ports, acting, owner, name, request.failIfExists);
      const text = mintToken(randomBytes);
      const token = await tx.token.create({
        data: {
          id: randomUUID(),
          name,
          ownerId: owner.id,
          makerId: acting.token?.makerId ?? acting.caller.accountId,
          parentId: parentOf(acting, replaced),
          sha256: createHash('sha256').update(text).digest(),
          scopes: [...minted.scopes],
          restrictions: listsOf(minted),
          createdAt: new Date(nowMs),
          expiresAt: new Date(minted.expiresAtMs),
          remainingUses: uses,
          hostname: noteOf(request.hostname, 255),
          url: noteOf(request.url, 500),
          address: noteOf(request.address, 64),
        },
      });
      if (caller.credentialKind === 'browser') {
        // By this it is spent.
        await tx.$executeRaw`UPDATE browser_logins SET token_id = ${token.id} WHERE id = ${caller.credentialId}`;
      }
      await record(tx, acting, owner, token, replaced);
      return { text, token, replaced: replaced.length > 0 };
    }),
  );
}

function judge({ caller, token }: Acting, request: CreateTokenRequest, nowMs: number): Minted {
  return judgeMint({
    parent: caller,
    parentExpiresAtMs: token?.expiresAt.getTime() ?? null,
    parentUses: token === undefined || token.remainingUses === null ? 'unlimited' : 'limited',
    scopes: request.scopes,
    restrictions: restrictionsFromProto(request.restrictions),
    maxAgeMs: request.maxAgeSeconds === undefined ? null : Number(request.maxAgeSeconds) * 1_000,
    nowMs,
  });
}

async function record(tx: Tx, { message }: Acting, owner: TokenOwner, token: Token, replaced: readonly string[]) {
  const { name, scopes, restrictions, expiresAt, remainingUses, createdAt } = token;
  const after = {
    scopes,
    restrictions: restrictions as Record<string, string[]>,
    expires: expiresAt.toISOString(),
    uses: remainingUses === null ? null : Number(remainingUses),
  };
  const before = replaced.length === 0 ? undefined : { revoked: replaced.length };
  const entry = { action: 'token.create', ownerId: owner.id, resource: `token ${name} of ${owner.login}` };
  await addAudit(tx, { actor: message, ...entry, before, after }, createdAt.getTime());
}

/** Makes room for the name and gives the ids of what was revoked for it. */
async function freeName(
  tx: Tx,
  ports: IdentityPorts,
  acting: Acting,
  owner: TokenOwner,
  name: string,
  failIfExists: boolean,
): Promise<readonly string[]> {
  // By tokens_living_name_key.
  const holder = await tx.token.findFirst({ where: { ownerId: owner.id, name, revokedAt: null } });
  if (holder === null) {
    await checkCount(tx, owner);
    return [];
  }
  const isDead = holder.expiresAt.getTime() <= ports.clock() || holder.remainingUses === 0n;
  if (failIfExists && !isDead) {
    throw nameInUse(owner.login, name);
  }
  const self = acting.token?.id;
  // To replace is to remove, which a token that is limited to a part may do with itself and what it made.
  if (!isDead && holder.id !== self && holder.parentId !== self)
    needWhole(acting.caller, `replacing the token "${name}"`);
  const revoked = await revokeTokens(tx, ports, [holder.id]);
  if (self !== undefined && self !== holder.id && revoked.includes(self)) {
    throw new Fault(
      'forbidden',
      `this token was made by the token "${name}" and cannot replace it; sign in to do that`,
    );
  }
  return revoked;
}

/**
 * The token that the new one dies with. One that replaces the very token which asks takes its place, under the same
 * parent: it could do no more, and its own parent's end is still its own.
 */
function parentOf({ token }: Acting, replaced: readonly string[]): string | null {
  if (token === undefined) return null;
  return replaced.includes(token.id) ? token.parentId : token.id;
}

async function checkCount(tx: Tx, owner: TokenOwner): Promise<void> {
  // By tokens_living_name_key.
  if ((await tx.token.count({ where: { ownerId: owner.id, revokedAt: null } })) < TOKENS_MAX) return;
  throw new Fault(
    'conflict',
    `${owner.login} has ${TOKENS_MAX} tokens, which is the most; remove some that nobody needs`,
  );
}

function parseUses(uses: bigint | undefined): bigint | null {
  if (uses === undefined) return null;
  if (uses >= 1n && uses <= USES_MAX) return uses;
  throw new Fault('invalid', `a token can be used 1 to ${USES_MAX} times, or without limit; not ${uses} times`);
}

function listsOf({ restrictions }: Minted): Record<string, string[]> {
  return Object.fromEntries(Object.entries(restrictions).map(([field, list]) => [field, [...(list ?? [])]]));
}
