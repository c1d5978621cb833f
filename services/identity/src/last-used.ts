import { isIP } from 'node:net';
import type { Db } from './db.js';
import type { IdentityPorts } from './ports.js';

const PAUSE_MS = 60_000;

/** A credential that was used, with what its row says of the use before. */
export interface Use {
  readonly kind: 'token' | 'session';
  readonly id: string;
  readonly lastUsedAt: Date | null;
  readonly address: string;
}

/** Writes when and from where a credential was last used: at most once a minute, and behind the answer's back. */
export class LastUsed {
  readonly #db: Db;
  readonly #ports: Pick<IdentityPorts, 'log' | 'clock'>;
  readonly #writing = new Map<string, Promise<void>>();

  constructor(db: Db, ports: Pick<IdentityPorts, 'log' | 'clock'>) {
    this.#db = db;
    this.#ports = ports;
  }

  /** Never throws: nobody is refused because this could not be written. */
  note(use: Use): void {
    const { log, clock } = this.#ports;
    const nowMs = clock();
    const isRecent = use.lastUsedAt !== null && nowMs - use.lastUsedAt.getTime() < PAUSE_MS;
    if (isRecent || this.#writing.has(use.id)) return;
    const written = this.#write(use, nowMs)
      .catch((error: unknown) => log.warn({ error, id: use.id }, 'the last use of a credential could not be written'))
      .finally(() => this.#writing.delete(use.id));
    this.#writing.set(use.id, written);
  }

  /** Resolves when what was noted is written. */
  async settle(): Promise<void> {
    await Promise.all(this.#writing.values());
  }

  async #write({ kind, id, address }: Use, nowMs: number): Promise<void> {
    const [at, recently] = [new Date(nowMs), new Date(nowMs - PAUSE_MS)];
    // Other replicas note the same use: the row decides. No version changes, since nobody is decided on this.
    if (kind === 'session') {
      await this.#db.$executeRaw`
        UPDATE sessions SET last_used_at = ${at} WHERE id = ${id} AND last_used_at <= ${recently}`;
      return;
    }
    await this.#db.$executeRaw`
      UPDATE tokens SET last_used_at = ${at}, last_used_address = ${isIP(address) === 0 ? '' : address}
      WHERE id = ${id} AND (last_used_at IS NULL OR last_used_at <= ${recently})`;
  }
}
