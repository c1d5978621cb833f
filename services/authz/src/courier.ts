import { Inbox } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { Chore } from '@vivarium/db/chore';
import { isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import type { AuthzPorts } from './ports.js';

interface Row {
  readonly id: string;
  readonly accountId: string;
  readonly kind: string;
  readonly text: string;
  readonly detail: string;
}

const EVERY_MS = 5_000;
const PAGE = 100;

/**
 * Carries what people shall be told of into their inbox. It is written down in the transaction of the change, so a crash
 * loses nothing, and carried afterwards, so no change waits for it. Identity takes each message once, whoever brings it again.
 */
export class Courier {
  readonly #ports: Pick<AuthzPorts, 'pool' | 'bus' | 'trust' | 'log'>;
  readonly #chore: Chore<void>;

  constructor(ports: Pick<AuthzPorts, 'pool' | 'bus' | 'trust' | 'log'>) {
    this.#ports = ports;
    const work = (signal: AbortSignal): Promise<void> => this.#deliver(signal);
    this.#chore = new Chore({
      pool: ports.pool,
      name: 'delivery of messages',
      everyMs: EVERY_MS,
      work,
      log: ports.log,
    });
  }

  start(): void {
    this.#chore.start();
  }

  stop(): Promise<void> {
    return this.#chore.stop();
  }

  /** Sets out now, after a commit. Never throws: what is not carried is carried later. */
  wake(): void {
    this.#chore.run().catch((error: unknown) => {
      if (isFault(error) && (error.code === 'conflict' || error.code === 'unavailable')) return;
      this.#ports.log.warn({ err: error }, 'a message could not be delivered yet');
    });
  }

  async #deliver(signal: AbortSignal): Promise<void> {
    const { pool, bus, trust } = this.#ports;
    const inbox = clientOf(Inbox, bus);
    while (!signal.aborted) {
      // By deliveries_created_at.
      const { rows } = await pool.query<Row>(
        `SELECT id, account_id AS "accountId", kind, text, detail::text FROM deliveries ORDER BY created_at, id LIMIT ${PAGE}`,
      );
      for (const { id, accountId, kind, text, detail: detailJson } of rows) {
        const options = { assertion: await trust.assertionFor('identity') };
        await inbox.deliver({ accountId, key: id, kind, text, detailJson }, options);
        await pool.query('DELETE FROM deliveries WHERE id = $1', [id]);
      }
      if (rows.length < PAGE) return;
    }
  }
}
