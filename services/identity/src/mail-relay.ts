import { Chore } from '@vivarium/db/chore';
import type { Pool } from 'pg';
import type { Db } from './db.js';
import { type Mailer, NotSent } from './mailer.js';
import type { IdentityPorts } from './ports.js';
import { type Told, writeMail } from './write-mail.js';

const EVERY_MS = 5_000;
const TURN_MAX = 500;
const TRIED_FOR_MS = 26 * 3_600_000;
const [PAUSE_MS, PAUSE_MAX_MS] = [60_000, 2 * 3_600_000];
/** How long a mail belongs to the replica that took it: longer than any mailer tries. */
export const CLAIM_MS = 120_000;

interface Claimed extends Told {
  readonly tries: number;
  readonly isReached: boolean;
}

export interface MailRelayOptions {
  readonly db: Db;
  readonly pool: Pool;
  readonly mailer: Mailer;
  readonly publicUrl: string;
  readonly clock: () => number;
  readonly log: IdentityPorts['log'];
}

/**
 * Sends what was written down with the messages of the inbox, at least once. Whoever sends a mail takes its row first, for
 * two minutes, and nobody else is at it meanwhile. A process that dies between sending and deleting the row leaves it to be
 * sent again, with the same Message-ID.
 */
export class MailRelay {
  readonly #options: MailRelayOptions;
  readonly #chore: Chore<void>;

  constructor(options: MailRelayOptions) {
    this.#options = options;
    const work = (signal: AbortSignal): Promise<void> => this.send(signal);
    const { pool, log } = options;
    this.#chore = new Chore({ pool, name: 'outgoing mail', everyMs: EVERY_MS, work, log });
  }

  start(): void {
    this.#chore.start();
  }

  stop(): Promise<void> {
    return this.#chore.stop();
  }

  /** Sends what is due, until it is told to stop or the server is found away. */
  async send(signal: AbortSignal): Promise<void> {
    for (let count = 0; count < TURN_MAX && !signal.aborted; count++) {
      const mail = await this.#claim();
      if (mail === undefined || !(await this.#sendOne(mail, signal))) return;
    }
  }

  // By mails_due_at. Rows that others are about to claim are passed by.
  async #claim(): Promise<Claimed | undefined> {
    const nowMs = this.#options.clock();
    const [row] = await this.#options.db.$queryRaw<Claimed[]>`
      UPDATE mails m SET due_at = ${new Date(nowMs + CLAIM_MS)}, tries = m.tries + 1 FROM accounts a
      WHERE a.id = m.account_id AND m.id = (
        SELECT id FROM mails WHERE due_at <= ${new Date(nowMs)} ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING m.id::text, m.text, m.created_at AS "createdAt", m.tries, a.login, coalesce(a.email, '') AS email,
        a.deleted_at IS NULL AND NOT a.disabled AND a.email IS NOT NULL AS "isReached"`;
    return row;
  }

  /** False if the next one would fare no better. */
  async #sendOne(claimed: Claimed, signal: AbortSignal): Promise<boolean> {
    const { mailer, publicUrl, log } = this.#options;
    const { id, login, isReached } = claimed;
    const mail = isReached ? writeMail(claimed, publicUrl) : undefined;
    if (mail === undefined) {
      if (isReached) log.warn({ login }, 'a mail was given up: no mail can be sent to the address of the account');
      await this.#remove(id);
      return true;
    }
    try {
      await mailer.send(mail, signal);
    } catch (error) {
      const failure = error instanceof NotSent ? error : new NotSent('unknown', 'delay');
      await this.#putBack(claimed, failure, signal.aborted);
      return failure.what !== 'server';
    }
    await this.#remove(id);
    return true;
  }

  async #putBack({ id, login, tries, createdAt }: Claimed, { what, message: reason }: NotSent, isStopping: boolean) {
    const { clock, db, log } = this.#options;
    const nowMs = clock();
    if (what === 'mail' || (!isStopping && nowMs - createdAt.getTime() > TRIED_FOR_MS)) {
      log.warn({ login, tries, reason }, 'a mail was given up; the message stays in the inbox');
      return this.#remove(id);
    }
    const pauseMs = isStopping ? 0 : Math.min(PAUSE_MS * 2 ** Math.min(tries - 1, 20), PAUSE_MAX_MS);
    // By mails_pkey. Whoever took it since keeps it.
    await db.$executeRaw`
      UPDATE mails SET due_at = ${new Date(nowMs + pauseMs)} WHERE id = ${BigInt(id)} AND tries = ${tries}`;
    if (!isStopping)
      log.warn({ login, tries, reason }, `a mail could not be sent; tried again in ${pauseMs / 1_000} s`);
  }

  // By mails_pkey.
  async #remove(id: string): Promise<void> {
    await this.#options.db.$executeRaw`DELETE FROM mails WHERE id = ${BigInt(id)}`;
  }
}
