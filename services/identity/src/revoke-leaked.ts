import { type AuditEntry, addAudit } from '@vivarium/audit/audit';
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

/** A token by its digest, and where it was found. */
export type LeakedHere = Pick<LeakedToken, 'tokenSha256' | 'url' | 'source'>;

/** What it takes to end a token and to tell of it. */
export interface LeakRules extends Pick<IdentityPorts, 'clock' | 'log'> {
  readonly invalidations: Pick<IdentityPorts['invalidations'], 'add'>;
  /** Whom to tell of an organization's token. */
  readonly ownersOf: (organizationId: string) => Promise<readonly string[]>;
}

/**
 * Revokes those of the tokens that count, for anybody. Answers when no gateway remembers any of them, and says nothing of
 * which there were. Throws Fault('unavailable') if some could not be revoked, after all others were.
 */
export async function revokeLeaked(ports: IdentityPorts, db: Db, request: RevokeLeakedRequest): Promise<void> {
  const rules = { ...ports, ownersOf: (id: string) => ownersOf(ports, id) };
  // Nobody is asked who reports it.
  const actor = { login: '', address: request.address };
  const { failures } = await revokeFound(rules, db, request.leaked, actor);
  // Also if nothing was revoked: how long it takes shall not tell.
  await untilForgotten(ports.invalidations, 'What was reported is revoked');
  if (failures.length > 0) throw notAll(failures);
}

/**
 * Revokes those of the tokens that count, each in a transaction of its own with its event and the messages about it: what is
 * reported again was done before, and is left as it is. Gives how many, and why others could not be.
 */
export async function revokeFound(
  rules: LeakRules,
  db: Db,
  leaked: readonly LeakedHere[],
  actor: AuditEntry['actor'],
): Promise<{ readonly revoked: number; readonly failures: readonly unknown[] }> {
  const found = await findLiving(db, leaked, new Date(rules.clock()));
  const readers = await readersOf(rules, found);
  const failures: unknown[] = [];
  let revoked = 0;
  for (const token of found) {
    const { owner, makerId } = token;
    const toldTo = owner.kind === 'organization' ? (readers.get(owner.id) ?? [makerId]) : [owner.id];
    try {
      if (await revokeOne(rules, db, token, { toldTo, actor })) revoked++;
    } catch (error) {
      failures.push(error);
      if (failures.length === FAILURES_MAX) break;
    }
  }
  return { revoked, failures };
}

/** When not all that was reported is revoked. */
export function notAll([cause]: readonly unknown[]): Fault {
  const sentence = 'Not all that was reported could be looked at. Report it again in a few seconds.';
  return new Fault('unavailable', sentence, { cause });
}

interface Telling {
  readonly toldTo: readonly string[];
  readonly actor: AuditEntry['actor'];
}

/** False if somebody else was faster, and has told. */
function revokeOne(rules: LeakRules, db: Db, token: Found, { toldTo, actor }: Telling): Promise<boolean> {
  const now = new Date(rules.clock());
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const revoked = await revokeTokens(tx, rules, [token.id]);
      if (revoked.length === 0) return false;
      await record(tx, token, actor, revoked.length, now);
      for (const accountId of toldTo) await deliver(tx, leakMessageOf(token, accountId, revoked.length), now);
      return true;
    }),
  );
}

async function record(tx: Tx, token: Found, actor: AuditEntry['actor'], revoked: number, now: Date): Promise<void> {
  const { name, owner, url, source } = token;
  const entry = { action: 'token.leaked', ownerId: owner.id, resource: `token ${name} of ${owner.login}` };
  const [before, after] = [
    { tokens: [name], revoked },
    { url, source },
  ];
  await addAudit(tx, { actor, ...entry, before, after }, now.getTime());
}

/** The youngest first: what a token has made is younger than itself, and would have ended with it without a word. */
async function findLiving(db: Db, leaked: readonly LeakedHere[], now: Date): Promise<readonly Found[]> {
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
  { ownersOf, log }: LeakRules,
  found: readonly Found[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const ids = new Set(found.flatMap(({ owner }) => (owner.kind === 'organization' ? [owner.id] : [])));
  const readers = await Promise.all(
    [...ids].map(async (id) => {
      try {
        return [[id, await ownersOf(id)] as const];
      } catch (error) {
        log.warn({ error, organizationId: id }, 'the owners whose token has leaked could not be had');
        return [];
      }
    }),
  );
  return new Map(readers.flat());
}
