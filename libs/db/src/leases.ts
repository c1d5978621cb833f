import { performance } from 'node:perf_hooks';
import { Fault } from '@vivarium/fault/fault';
import type pg from 'pg';
import { databaseFaultOf } from './database-fault.js';
import { isCovered, type Position } from './outbox.js';
import type { Relay } from './relay.js';

export interface LeasesOptions {
  readonly pool: pg.Pool;
  readonly relay: Relay;
}

/** The right to answer from memory: for `ms` from the moment of asking, and only while all of `position` is known. */
export interface Lease {
  readonly position: Position;
  readonly ms: number;
}

interface Held {
  readonly holder: string;
  readonly deadline: number;
  readonly told: Position;
}

interface Row {
  readonly epoch: string;
  readonly holder: string | null;
  readonly ms: number;
  readonly acked_epoch: string;
  readonly acked: string;
}

const LONGEST_MS = 60_000;
// Acknowledgements come by messages, which may be lost; what a holder says when it renews its lease is in the table.
const REREAD_MS = 250;
const FORGET_MS = 120_000;

/**
 * Who may answer from memory, and what they know. Leases are rows, so every replica of a service sees all of them;
 * acknowledgements are kept in memory: each replica has to hear them all.
 */
export class Leases {
  private readonly acks = new Map<string, { readonly position: Position; readonly at: number }>();
  private readonly waiting = new Set<() => void>();

  constructor(private readonly options: LeasesOptions) {}

  /**
   * Grants or renews the lease of `holder`, a name that one process makes for itself at random when it starts. `held` is
   * what it knows already. It counts `ms` from its own monotonic time of asking, and must not use the lease before it
   * knows everything up to the position: what it has missed is on its way, or it drops all and starts from there.
   * Throws Fault('unavailable') if database or bus do not answer, and Fault('invalid') for a nonsensical lease.
   */
  async grant(holder: string, ms: number, held?: Position): Promise<Lease> {
    if (!/^[\w.-]{1,128}$/.test(holder)) {
      throw new Fault('invalid', 'A holder of a lease is named by 1 to 128 letters, digits, "-", "_" and ".".');
    }
    if (!Number.isInteger(ms) || ms < 1 || ms > LONGEST_MS) {
      throw new Fault('invalid', `A lease of ${ms} ms cannot be had: ask for 1 to ${LONGEST_MS}.`);
    }
    // The row before the position. A barrier that does not see the row began to look after its own message had been
    // numbered and before the row was there, so the position, read later still, covers that message.
    await this.record(holder, ms, held);
    if (held !== undefined) this.acked(holder, held);
    return { position: await this.options.relay.position(), ms };
  }

  /** Ends a lease at once: for a holder that stops in good order. */
  async release(holder: string): Promise<void> {
    await this.query('DELETE FROM leases WHERE holder = $1', [holder]);
    this.acks.delete(holder);
    this.notify();
  }

  /** Takes note that `holder` knows everything up to `position`, and has forgotten what that makes wrong. */
  acked(holder: string, position: Position): void {
    const known = this.acks.get(holder)?.position;
    // Messages overtake each other; what was known stays known.
    if (known !== undefined && isCovered(position, known)) return;
    const now = performance.now();
    this.acks.set(holder, { position, at: now });
    if (this.acks.size > 1_000) {
      for (const [each, { at }] of this.acks) if (now - at > FORGET_MS) this.acks.delete(each);
    }
    this.notify();
  }

  /**
   * Resolves once every holder knows everything up to `position`, or its lease has run out: from then on nobody answers
   * from a memory older than it. Gives the holders that were still behind after `timeoutMs`; none means success.
   * Throws Fault('unavailable') if the database does not answer.
   */
  async barrier(position: Position, timeoutMs: number): Promise<readonly string[]> {
    const end = performance.now() + timeoutMs;
    let now = await this.read();
    // A lease that is granted or renewed from here on is no use to its holder before it knows this position.
    let behind = now.held;
    for (;;) {
      const reread = performance.now() + REREAD_MS;
      for (;;) {
        const clock = performance.now();
        behind = behind.filter(({ holder, deadline }) => {
          if (deadline <= clock) return false;
          const known = [this.acks.get(holder)?.position, now.held.find((each) => each.holder === holder)?.told];
          return !known.some((each) => each !== undefined && isEnough(position, each, now.epoch));
        });
        if (behind.length === 0) return [];
        if (clock >= end) return behind.map(({ holder }) => holder);
        if (clock >= reread) break;
        await this.change(Math.min(end, reread, ...behind.map(({ deadline }) => deadline)) - clock);
      }
      now = await this.read();
    }
  }

  private async record(holder: string, ms: number, held: Position | undefined): Promise<void> {
    await this.query(
      `WITH forgotten AS (DELETE FROM leases WHERE until < clock_timestamp() - interval '1 minute' AND holder <> $1)
       INSERT INTO leases (holder, until, acked_epoch, acked)
       VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond', coalesce($3, ''), coalesce($4::bigint, 0))
       ON CONFLICT (holder) DO UPDATE SET until = greatest(leases.until, excluded.until),
         acked_epoch = coalesce($3, leases.acked_epoch), acked = coalesce($4::bigint, leases.acked)`,
      [holder, ms, held?.epoch, held?.seq],
    );
  }

  private async read(): Promise<{ readonly epoch: string; readonly held: readonly Held[] }> {
    const rows = await this.query<Row>(
      `SELECT epoch, holder, (extract(epoch FROM until - clock_timestamp()) * 1000)::float8 AS ms, acked_epoch, acked
       FROM outbox_seq LEFT JOIN leases ON until > clock_timestamp()`,
      [],
    );
    // Our clock is read after the database's: a deadline may be late, never early.
    const clock = performance.now();
    const held = rows.flatMap(({ holder, ms, acked_epoch, acked }) =>
      holder === null ? [] : [{ holder, deadline: clock + ms, told: { epoch: acked_epoch, seq: Number(acked) } }],
    );
    return { epoch: rows[0]?.epoch ?? '', held };
  }

  private async query<T extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<readonly T[]> {
    try {
      return (await this.options.pool.query<T>(sql, values)).rows;
    } catch (error) {
      throw databaseFaultOf(error);
    }
  }

  private notify(): void {
    for (const each of [...this.waiting]) each();
  }

  private change(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(1, Math.ceil(withinMs)));
      this.waiting.add(done);
    });
  }
}

/** Who has taken up a later epoch has dropped everything at that moment, so it remembers nothing from before it. */
function isEnough(wanted: Position, known: Position, epoch: string): boolean {
  return isCovered(wanted, known) || (wanted.epoch !== epoch && known.epoch === epoch);
}
