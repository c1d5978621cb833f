import { retryConflicts } from '@vivarium/db/open';
import { isFault } from '@vivarium/fault/fault';
import type { Db } from './db.js';
import { deliver } from './deliver.js';

const NOTICE_MS = 14 * 86_400_000;
const BATCH = 200;
const BATCHES_MAX = 50;

interface Row {
  readonly id: string;
  readonly name: string;
  readonly ownerId: string;
  readonly ownerLogin: string;
  readonly makerId: string;
  readonly ofOrganization: boolean;
  readonly expiresAt: Date;
}

/** Ids of the accounts that own an organization. Throws Fault('unavailable') when that cannot be said now. */
export type OwnersOf = (organizationId: string) => Promise<readonly string[]>;

/**
 * Puts a message into the inbox of whoever made a token that ends within 14 days, or of all owners of the organization whose
 * token it is: once, and not for a token that was made for a shorter time. Gives how many tokens were told of.
 */
export async function noticeExpiry(db: Db, ownersOf: OwnersOf, nowMs: number, signal?: AbortSignal): Promise<number> {
  let noticed = 0;
  for (let batch = 0; batch < BATCHES_MAX && signal?.aborted !== true; batch++) {
    const rows = await findUnnoticed(db, nowMs);
    for (const row of rows) {
      const readers = await readersOf(row, ownersOf);
      if (await notice(db, row, readers, nowMs)) noticed++;
    }
    if (rows.length < BATCH) break;
  }
  return noticed;
}

// By tokens_expires_at_idx and inbox_key_key.
function findUnnoticed(db: Db, nowMs: number): Promise<Row[]> {
  const [now, soon] = [new Date(nowMs), new Date(nowMs + NOTICE_MS)];
  return db.$queryRaw<Row[]>`
    SELECT t.id, t.name, o.id AS "ownerId", o.login AS "ownerLogin", t.maker_id AS "makerId", o.kind = 'organization' AS "ofOrganization",
      t.expires_at AS "expiresAt"
    FROM tokens t JOIN accounts o ON o.id = t.owner_id JOIN accounts m ON m.id = t.maker_id
    WHERE t.revoked_at IS NULL AND t.expires_at > ${now} AND t.expires_at <= ${soon}
      AND t.expires_at - t.created_at > interval '14 days'
      AND o.deleted_at IS NULL AND NOT o.disabled AND (m.deleted_at IS NULL OR o.kind = 'organization')
      AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.key = 'token.expires ' || t.id)
    ORDER BY t.expires_at LIMIT ${BATCH}`;
}

/** None while authz does not answer: then they are told a turn later. */
async function readersOf({ ofOrganization, ownerId, makerId }: Row, ownersOf: OwnersOf): Promise<readonly string[]> {
  if (!ofOrganization) return [makerId];
  try {
    return await ownersOf(ownerId);
  } catch (error) {
    if (isFault(error) && error.code === 'unavailable') return [];
    throw error;
  }
}

/** False if somebody else was faster, or nobody is there to be told. */
function notice(db: Db, row: Row, readers: readonly string[], nowMs: number): Promise<boolean> {
  const { id, name, ownerLogin, ofOrganization, expiresAt } = row;
  const which = ofOrganization ? `The token "${name}" of ${ownerLogin}` : `Your token "${name}"`;
  const on = expiresAt.toISOString().slice(0, 10);
  const message = {
    kind: 'token.expires',
    text: `${which} expires on ${on}. Make a new one in time, where it is used.`,
    detail: { token_id: id, name, owner: ownerLogin, expires: expiresAt.toISOString() },
  };
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      let told = 0;
      for (const accountId of readers) {
        // The first one's key says that the token was told of.
        const key = told === 0 ? `token.expires ${id}` : `token.expires ${id} ${accountId}`;
        if (await deliver(tx, { ...message, accountId, key }, new Date(nowMs))) told++;
      }
      return told > 0;
    }),
  );
}
