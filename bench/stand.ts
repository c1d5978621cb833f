import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { Watchdog } from '@vivarium/testkit/watchdog';
import { condaFilling, publishAll, wheelFilling } from './fill.js';
import { LoadGenerator } from './load-order.js';
import { MemoryLog } from './memory.js';
import { type Nginx, startNginx } from './nginx.js';
import type { Options } from './options.js';
import { PlainServer } from './plain-server.js';
import { basicOf, createToken, Publisher } from './publish.js';
import { shown } from './table.js';

/** What all parts stand on: one product in one process, its peers, the load generator and a folder. */
export interface Stand {
  readonly options: Options;
  readonly product: Product;
  readonly pid: () => number;
  /** From the command to ready, in an empty data folder. */
  readonly coldStartMs: number;
  readonly memory: MemoryLog;
  readonly publisher: Publisher;
  /** May do everything that the administrator may. */
  readonly token: string;
  /** May download, and nothing else. */
  readonly readToken: string;
  readonly nginx: Nginx | undefined;
  readonly plain: PlainServer;
  readonly load: LoadGenerator;
  /** What nginx serves. */
  readonly served: string;
  /** For files that are sent. */
  readonly folder: string;
  /** Fills the channel, once for all parts. */
  fillChannel(): Promise<void>;
  close(): Promise<void>;
}

/** Starts everything. What was started is ended again if something does not come up. */
export async function openStand(options: Options): Promise<Stand> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'vivarium-bench-'));
    const watchdog = new Watchdog();
    watchdog.guard({ folder });
    closers.push(() => watchdog.release());
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const served = join(folder, 'served');
    await mkdir(served);
    const started = performance.now();
    const product = await startProduct({ target: 'all', metrics: true });
    const coldStartMs = performance.now() - started;
    closers.push(() => product.stop());
    const pid = (): number => product.pidOf('all');
    const memory = new MemoryLog(pid, product.env.DATA_DIR ?? '');
    await memory.note('idle, just started', 3_000);
    const nginx = await startNginx(served);
    if (nginx !== undefined) closers.push(() => nginx.stop());
    const plain = await PlainServer.start();
    closers.push(() => plain.stop());
    const load = new LoadGenerator();
    closers.push(() => load.stop());
    const { api, admin } = product;
    const token = await createToken(api, basicOf(admin), 'bench-all', null);
    const publisher = new Publisher(api, admin.login, token);
    const readToken = await createToken(api, `token ${token}`, 'bench-read', ['repos']);
    let filled: Promise<void> | undefined;
    return {
      ...{
        options,
        product,
        pid,
        coldStartMs,
        memory,
        publisher,
        token,
        readToken,
        nginx,
        plain,
        load,
        served,
        folder,
      },
      fillChannel: () => {
        filled ??= fillChannel(publisher, options);
        return filled;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function fillChannel(publisher: Publisher, { files }: Options): Promise<void> {
  const artifacts = [...condaFilling(files), ...wheelFilling(Math.max(10, files / 10))];
  const ms = await publishAll(publisher, artifacts);
  const each = shown(ms / artifacts.length, 1);
  process.stderr.write(`filled the channel: ${artifacts.length} files in ${shown(ms / 1000, 1)} s, ${each} ms each\n`);
}
