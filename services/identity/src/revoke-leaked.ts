import { addAudit } from '@vivarium/audit/audit';
import type { LeakedToken, RevokeLeakedRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { ask, type Db, type Tx } from './db.js';
import { deliver } from './deliver.js';
import { type Found, leakMessageOf } from './leak-message.js';
import { ownersOf } from './makers.js';
import type { IdentityPorts } from './ports.js';
import { revokeTokens } from './revoke-token.js';

const LEAKED_MAX = 100;
// One that fails shelters no other; when so many do, it is not the tokens.
const FAILURES_MAX = 3;

/**
 * Revokes those of the tokens that count, each in a transaction of its own with its event and the messages about it: what is
 * reported again was done before, and is left as it is. Answers when no gateway remembers any of them. Says nothing of which
 * there were. Throws Fault('unavailable') if some could not be revoked, after all others were.
 */
export async function revokeLeaked(ports: IdentityPorts, db: Db, request: RevokeLeakedRequest): Promise<void> {
  const found = await findLiving(db, request.leaked, new Date(ports.clock()));
  const readers = await readersOf(ports, found);
  const failures: unknown[] = [];
  for (const token of found) {
    const { owner, makerId } = token;
    const toldTo = owner.kind === 'organization' ? (readers.get(owner.id) ?? [makerId]) : [owner.id];
    await revokeOne(ports, db, token, { toldTo, address: request.address }).catch((error) => failures.push(error));
    if (failures.length === FAILURES_MAX) break;
  }
  // Also if nothing was revoked: how long it takes shall not tell.
  await untilForgotten(ports.invalidations, 'What was reported is revoked');
  if (failures.length === 0) return;
  const sentence = 'Not all that was reported could be looked at. Report it again in a few seconds.';
  throw new Fault('unavailable', sentence, { cause: failures[0] });
}

interface Telling {
  readonly toldTo: readonly string[];
  readonly address: string;
}

function revokeOne(ports: IdentityPorts, db: Db, token: Found, { toldTo, address }: Telling): Promise<void> {
  const now = new Date(ports.clock());
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const revoked = await revokeTokens(tx, ports, [token.id]);
      // Somebody else was faster, and has told.
      if (revoked.length === 0) return;
      await record(tx, token, address, revoked.length, now);
      for (const accountId of toldTo) await deliver(tx, leakMessageOf(token, accountId, revoked.length), now);
    }),
  );
}

async function record(tx: Tx, token: Found, address: string, revoked: number, now: Date): Promise<void> {
  const { name, owner, url, source } = token;
  const entry = { action: 'token.leaked', ownerId: owner.id, resource: `token ${name} of ${owner.login}` };
  const [before, after] = [
    { tokens: [name], revoked },
    { url, source },
  ];
  // Nobody is asked who reports it.
  await addAudit(tx, { actor: { login: '', address }, ...entry, before, after }, now.getTime());
}

/** The youngest first: what a token has made is younger than itself, and would have ended with it without a word. */
async function findLiving(db: Db, leaked: readonly LeakedToken[], now: Date): Promise<readonly Found[]> {
  if (leaked.length > LEAKED_MAX) throw new Fault('invalid', `Report at most ${LEAKED_MAX} tokens at once.`);
  const digests = leaked.map(({ tokenSha256 }) => Buffer.from(tokenSha256));
  // By tokens_sha256_key.
  const rows = await ask(
    db.token.findMany({
      where: { sha256: { in: digests }, revokedAt: null, expiresAt: { gt: now } },
      include: { owner: true },
      orderBy: { createdAt: 'desc' },
    }),
  );
  return rows.map(({ id, name, makerId, owner, sha256 }) => {
    const { url = '', source = '' } = leaked.find((each) => Buffer.from(each.tokenSha256).equals(sha256)) ?? {};
    return { id, name, makerId, owner, url, source };
  });
}

/**
 * Owners of the organizations whose tokens these are, by organization. Asked before any transaction. Those that cannot be had
 * now are left out, and the token's maker is told instead: that a token ends must not wait for whom to tell.
 */
async function readersOf(
  ports: IdentityPorts,
  found: readonly Found[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const ids = new Set(found.flatMap(({ owner }) => (owner.kind === 'organization' ? [owner.id] : [])));
  const readers = await Promise.all(
    [...ids].map(async (id) => {
      try {
        return [[id, await ownersOf(ports, id)] as const];
      } catch (error) {
        ports.log.warn({ error, organizationId: id }, 'the owners whose token has leaked could not be had');
        return [];
      }
    }),
  );
  return new Map(readers.flat());
}
