import { retryConflicts } from '@vivarium/db/open';
import type { Db } from './db.js';
import { deliver } from './deliver.js';

const NOTICE_MS = 14 * 86_400_000;
const BATCH = 200;
const BATCHES_MAX = 50;

interface Row {
  readonly id: string;
  readonly name: string;
  readonly ownerLogin: string;
  readonly makerId: string;
  readonly ofOrganization: boolean;
  readonly expiresAt: Date;
}

/**
 * Puts a message into the inbox of whoever made a token that ends within 14 days: once, and not for a token that was made
 * for a shorter time. Gives how many were put.
 */
export async function noticeExpiry(db: Db, nowMs: number, signal?: AbortSignal): Promise<number> {
  let noticed = 0;
  for (let batch = 0; batch < BATCHES_MAX && signal?.aborted !== true; batch++) {
    const rows = await findUnnoticed(db, nowMs);
    for (const row of rows) if (await notice(db, row, nowMs)) noticed++;
    if (rows.length < BATCH) break;
  }
  return noticed;
}

// By tokens_expires_at_idx and inbox_key_key.
function findUnnoticed(db: Db, nowMs: number): Promise<Row[]> {
  const [now, soon] = [new Date(nowMs), new Date(nowMs + NOTICE_MS)];
  return db.$queryRaw<Row[]>`
    SELECT t.id, t.name, o.login AS "ownerLogin", t.maker_id AS "makerId", o.kind = 'organization' AS "ofOrganization",
      t.expires_at AS "expiresAt"
    FROM tokens t JOIN accounts o ON o.id = t.owner_id JOIN accounts m ON m.id = t.maker_id
    WHERE t.revoked_at IS NULL AND t.expires_at > ${now} AND t.expires_at <= ${soon}
      AND t.expires_at - t.created_at > interval '14 days'
      AND o.deleted_at IS NULL AND NOT o.disabled AND m.deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.key = 'token.expires ' || t.id)
    ORDER BY t.expires_at LIMIT ${BATCH}`;
}

function notice(db: Db, { id, name, ownerLogin, makerId, ofOrganization, expiresAt }: Row, nowMs: number) {
  const which = ofOrganization ? `The token "${name}" of ${ownerLogin}` : `Your token "${name}"`;
  const on = expiresAt.toISOString().slice(0, 10);
  const message = {
    accountId: makerId,
    key: `token.expires ${id}`,
    kind: 'token.expires',
    text: `${which} expires on ${on}. Make a new one in time, where it is used.`,
    detail: { token: id, name, owner: ownerLogin, expires: expiresAt.toISOString() },
  };
  return retryConflicts(() => db.$transaction((tx) => deliver(tx, message, new Date(nowMs))));
}
