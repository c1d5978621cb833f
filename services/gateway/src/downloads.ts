import type { RolePorts } from '@vivarium/boot/ports';
import { Downloads as DownloadsContract } from '@vivarium/contracts/gen/vivarium/packages/v1/downloads_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';

/** Counts downloads of one file. */
export type CountDownload = () => void;

const FLUSH_MS = 3_000;
const MAX_FILES = 20_000;
const SENT_AT_ONCE = 5_000;

/**
 * Downloads since they were last told to packages: a read only adds one in memory. They are told every three seconds and at
 * the end, so a process that is killed loses those of three seconds, and while packages is away they are kept, up to a number
 * of files. A batch of which it is not known whether it arrived is told again: then it counts twice.
 */
export class Downloads {
  readonly #ports: Pick<RolePorts, 'trust' | 'bus' | 'log'>;
  readonly #client: ClientOf<typeof DownloadsContract>;
  readonly #timer: NodeJS.Timeout;
  #counts = new Map<string, number>();
  #telling: Promise<void> = Promise.resolve();

  constructor(ports: Pick<RolePorts, 'trust' | 'bus' | 'log'>, flushMs = FLUSH_MS) {
    this.#ports = ports;
    this.#client = clientOf(DownloadsContract, ports.bus);
    this.#timer = setInterval(() => void this.tell(), flushMs);
    this.#timer.unref();
  }

  /** What counts a download of the file: made when the file is looked up, called when its bytes are sent. */
  counterOf(fileId: string): CountDownload {
    return () => this.#add(fileId, 1);
  }

  /** Tells what was counted, after what is being told. What does not arrive is kept for the next time. */
  tell(): Promise<void> {
    this.#telling = this.#telling.then(() => this.#tell());
    return this.#telling;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.tell();
    if (this.#counts.size > 0) this.#ports.log.warn({ files: this.#counts.size }, 'downloads were not counted');
  }

  #add(fileId: string, downloads: number): void {
    const before = this.#counts.get(fileId);
    // Those of further files are lost: numbers for people are not worth the memory of a gateway.
    if (before === undefined && this.#counts.size >= MAX_FILES) return;
    this.#counts.set(fileId, (before ?? 0) + downloads);
  }

  async #tell(): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = [...this.#counts];
    this.#counts = new Map();
    for (let at = 0; at < counts.length; at += SENT_AT_ONCE) {
      const batch = counts.slice(at, at + SENT_AT_ONCE);
      try {
        const files = batch.map(([fileId, downloads]) => ({ fileId, downloads: BigInt(downloads) }));
        await this.#client.add({ files }, { assertion: await this.#ports.trust.assertionFor('packages') });
      } catch (error) {
        this.#ports.log.warn({ error }, 'downloads could not be told; they are kept');
        for (const [fileId, downloads] of batch) this.#add(fileId, downloads);
      }
    }
  }
}
