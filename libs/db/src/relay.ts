import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '@vivarium/fault/fault';
import type pg from 'pg';
import { databaseFaultOf } from './database-fault.js';
import { withClient } from './open.js';
import type { Position } from './outbox.js';

export interface RelayOptions {
  /** Of the service's schema, where `outbox.sql` was applied. */
  readonly pool: pg.Pool;
  /** Hands one message to the bus. Called in the order of numbers. The same number always carries the same message. */
  readonly publish: (topic: string, payload: Uint8Array, position: Position) => void | Promise<void>;
  /** Resolves once the bus has what was published. */
  readonly flush: () => Promise<void>;
  /** Takes one line when a pass fails; the next one tries again. */
  readonly log: (line: string) => void;
  /** Pause between sweeps, 1 s unless given. */
  readonly pollMs?: number;
}

const BATCH = 500;
const PUBLISH_LIMIT_MS = 2_000;

// One lock for all relays of a schema. It belongs to a transaction, so that a relay which stopped in the middle loses it.
const LOCK = "SELECT pg_advisory_xact_lock(72707370, 'outbox_seq'::regclass::oid::int)";

// A database that was restored, cloned or promoted may lack what was announced: its numbers must not be taken for the
// old ones. Each of those changes one of: cluster, timeline, database, table, file of the table.
const ORIGIN = `(SELECT concat_ws('/', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8),
  (SELECT oid FROM pg_database WHERE datname = current_database()),
  'outbox_seq'::regclass::oid, pg_relation_filenode('outbox_seq')) FROM pg_control_system())`;

// Numbers what is committed at this moment, in the order of ids. Ids of transactions that are still open come later,
// and under later numbers. The update of outbox_seq and the numbers are committed together, before anything is sent:
// a number that has been seen never changes its meaning.
const NUMBER = `BEGIN;
${LOCK};
UPDATE outbox_seq SET epoch = gen_random_uuid()::text, seq = 0, origin = ${ORIGIN} WHERE origin <> ${ORIGIN};
WITH due AS (
  SELECT outbox.id, row_number() OVER (ORDER BY outbox.id) AS place FROM outbox, outbox_seq
  WHERE outbox.epoch IS DISTINCT FROM outbox_seq.epoch ORDER BY outbox.id LIMIT 10000
), before AS (
  UPDATE outbox_seq SET seq = seq + (SELECT count(*) FROM due) WHERE EXISTS (SELECT 1 FROM due)
  RETURNING epoch, seq - (SELECT count(*) FROM due) AS seq
)
UPDATE outbox SET epoch = before.epoch, seq = before.seq + due.place FROM due, before WHERE outbox.id = due.id;
COMMIT`;

const POSITION = `SELECT epoch, seq, origin = ${ORIGIN} AS same, EXISTS (SELECT 1 FROM outbox) AS waiting FROM outbox_seq`;

const TARGET = `SELECT epoch, seq, EXISTS (SELECT 1 FROM outbox WHERE outbox.epoch IS DISTINCT FROM outbox_seq.epoch) AS more
FROM outbox_seq`;

// A relay that is stopped between sending and committing is cut off by the database, and another one takes over.
// Losing this commit only means that messages are sent again under the same numbers, so it need not reach the disk.
const OPEN_BATCH = `BEGIN;
SET LOCAL idle_in_transaction_session_timeout = ${PUBLISH_LIMIT_MS + 500};
SET LOCAL synchronous_commit = off;
${LOCK}`;

// By the index outbox_by_seq.
const READ_BATCH = `SELECT outbox.id, topic, payload, outbox.epoch, outbox.seq FROM outbox, outbox_seq
WHERE outbox.epoch = outbox_seq.epoch ORDER BY outbox.seq LIMIT ${BATCH}`;

interface Row {
  readonly id: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly epoch: string;
  readonly seq: string;
}

/**
 * Announces what is in the outbox, numbered without gaps under an epoch, in order, however many relays of this schema
 * run. A message may be announced more than once, always under its number. Messages that stay behind after a crash are
 * found by the sweep of any relay.
 */
export class Relay {
  private current: Promise<unknown> = Promise.resolve();
  private next: Promise<Position> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(private readonly options: RelayOptions) {}

  /** Begins to sweep. */
  start(): void {
    this.sweepLater();
  }

  /** Ends sweeping, after the pass that is under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.next?.catch(() => undefined);
    await this.current.catch(() => undefined);
  }

  /** Call it right after a commit that added messages. Never throws. */
  wake(): void {
    this.relay().catch((error: unknown) => this.complain(error));
  }

  /**
   * Announces everything that is committed now, and gives the position that covers it.
   * Throws Fault('unavailable') if database or bus do not answer; then nothing is lost, only late.
   */
  relay(): Promise<Position> {
    // A pass that has begun may have looked too early for us; one that waits for its turn serves everybody who asks.
    if (this.next === undefined) {
      const pass = this.current.then(async () => {
        this.next = undefined;
        return this.pass();
      });
      this.next = pass;
      this.current = pass.catch(() => undefined);
    }
    return this.next;
  }

  /** As `relay`, and costs one read while there is nothing to announce: for leases, which ask often. */
  async position(): Promise<Position> {
    try {
      const { rows } = await this.options.pool.query<{ epoch: string; seq: string; same: boolean; waiting: boolean }>(
        POSITION,
      );
      const [row] = rows;
      // An empty outbox: all that was committed has been numbered and sent.
      if (row?.same === true && !row.waiting) return { epoch: row.epoch, seq: Number(row.seq) };
    } catch (error) {
      throw databaseFaultOf(error);
    }
    return this.relay();
  }

  private async pass(): Promise<Position> {
    try {
      return await withClient(this.options.pool, async (client) => {
        const target = await number(client);
        while (!(await this.publishBatch(client, target)));
        return target;
      });
    } catch (error) {
      throw databaseFaultOf(error);
    }
  }

  /** Sends the next messages; true once the target has been sent. */
  private async publishBatch(client: pg.PoolClient, target: Position): Promise<boolean> {
    const rows = await lastRowsOf<Row>(client, `${OPEN_BATCH};\n${READ_BATCH}`);
    const last = rows.at(-1);
    if (last !== undefined) {
      await withinLimit(this.send(rows));
      await client.query('DELETE FROM outbox WHERE epoch = $1 AND seq <= $2', [last.epoch, last.seq]);
    }
    await client.query('COMMIT');
    return last === undefined || last.epoch !== target.epoch || Number(last.seq) >= target.seq;
  }

  private async send(rows: readonly Row[]): Promise<void> {
    for (const { topic, payload, epoch, seq } of rows) {
      await this.options.publish(topic, payload, { epoch, seq: Number(seq) });
    }
    await this.options.flush();
  }

  private sweepLater(): void {
    this.timer = setTimeout(async () => {
      await this.position().catch((error: unknown) => this.complain(error));
      if (!this.stopped) this.sweepLater();
    }, this.options.pollMs ?? 1_000);
  }

  private complain(error: unknown): void {
    this.options.log(`Messages wait in the outbox (${error instanceof Error ? error.message : 'unknown error'})`);
  }
}

/** Numbers all that is committed, and gives the last number. */
async function number(client: pg.PoolClient): Promise<Position> {
  for (;;) {
    const [row] = await lastRowsOf<{ epoch: string; seq: string; more: boolean }>(client, `${NUMBER};\n${TARGET}`);
    if (row === undefined) throw new Fault('internal', 'The row of outbox_seq is missing: restore it from a backup.');
    if (!row.more) return { epoch: row.epoch, seq: Number(row.seq) };
  }
}

async function withinLimit(sending: Promise<void>): Promise<void> {
  const limit = new AbortController();
  // Whoever loses the race must not be an unhandled rejection.
  sending.catch(() => undefined);
  const late = sleep(PUBLISH_LIMIT_MS, undefined, { signal: limit.signal }).then(() => {
    throw new Fault('unavailable', 'The message bus does not take messages at the moment.');
  });
  late.catch(() => undefined);
  try {
    await Promise.race([sending, late]);
  } finally {
    limit.abort();
  }
}

/** Several statements in one round trip, since a revocation waits for each; gives the rows of the last. */
async function lastRowsOf<T extends pg.QueryResultRow>(client: pg.PoolClient, sql: string): Promise<readonly T[]> {
  // An array of results, which the types of the driver do not know.
  const results: pg.QueryResult<T> | pg.QueryResult<T>[] = await client.query<T>(sql);
  return [results].flat().at(-1)?.rows ?? [];
}
