import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Audience, audienceOf } from '@vivarium/access/audience';
import type { Blobs } from '@vivarium/blobs/blobs';
import { openFolderBlobs } from '@vivarium/blobs/folder';
import { openLog } from '@vivarium/boot/log';
import { type ChannelReadable, ChannelReadableSchema } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Feed } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Heads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { Upkeep } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/upkeep_pb';
import { migrate } from '@vivarium/db/migrate';
import { openPool } from '@vivarium/db/open';
import { startTemporaryPostgres } from '@vivarium/db/temporary';
import type { ChannelIndexer } from '@vivarium/indexing/channel-indexer';
import { ToldFeed, type ToldFile } from '@vivarium/indexing/feed.fixture';
import { Invalidations } from '@vivarium/invalidation/invalidations';
import type { SimpleFile } from '@vivarium/pypi/simple';
import type { Bus } from '@vivarium/rpc/bus';
import { subscribeEvent } from '@vivarium/rpc/events';
import { LocalExchange } from '@vivarium/rpc/local';
import { createBusService } from '@vivarium/rpc/nest';
import { type ClientOf, clientOf, serve } from '@vivarium/rpc/rpc';
import { Trust } from '@vivarium/trust/trust';
import { pypiIndexModule } from './module.js';
import type { PypiIndexPorts } from './ports.js';
import { pypiIndexer } from './pypi-indexer.js';

export const PUBLIC = audienceOf({ visibility: 'public', grants: [] });
export const SIGNED_IN = audienceOf({ visibility: 'authenticated', grants: [] });
export const privateTo = (...groups: string[]): Audience =>
  audienceOf({ visibility: 'private', grants: groups.map((id) => ({ kind: 'group', id, permission: 'read' })) });

export interface Stage {
  readonly bus: Bus;
  readonly feed: ToldFeed;
  readonly blobs: Blobs;
  readonly pool: PypiIndexPorts['pool'];
  /** What was said to be readable, in order. */
  readonly readable: readonly ChannelReadable[];
  /** Lines of the log above info. */
  readonly complaints: readonly string[];
  /** The contract, as the gateway calls it. */
  heads(): Promise<ClientOf<typeof Heads>>;
  /** Ports of its own, for what is run by hand. */
  ports(): PypiIndexPorts;
  /** The contract of those who operate the installation, as they call it. */
  upkeep(): Promise<ClientOf<typeof Upkeep>>;
  /** A worker with ports of its own that does nothing by itself. */
  worker(blobs?: Blobs): ChannelIndexer;
  /** The service as it runs. */
  start(): Promise<{ stop(): Promise<void> }>;
  stop(): Promise<void>;
}

/** A real PostgreSQL, a folder, the local bus, and the packages service as a table that the test edits. */
export async function openStage(): Promise<Stage> {
  const postgres = await startTemporaryPostgres();
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-pypi-index-'));
  const blobs = await openFolderBlobs(folder);
  const complaints: string[] = [];
  const destination = { write: (line: string) => void complaints.push(line) };
  const log = openLog({ level: 'warn', service: 'pypi-index', destination });
  const dir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));
  await migrate({ url: postgres.url, migrations: [{ schema: 'pypi_index', dir }], log: () => undefined });
  const pool = openPool({
    url: postgres.url,
    schema: 'pypi_index',
    applicationName: 'pypi-index test',
    log: (line) => void complaints.push(line),
  });
  const exchange = new LocalExchange();
  const bus = exchange.connect({ error: console.error });
  const secret = randomBytes(32).toString('hex');
  const feed = new ToldFeed();
  await serve(Feed, feed, bus, { error: console.error });
  const readable: ChannelReadable[] = [];
  await subscribeEvent(bus, ChannelReadableSchema, 'readable.*.pypi', (event) => readable.push(event));
  const ports = (): PypiIndexPorts => {
    const own = exchange.connect({ error: console.error });
    const trust = new Trust({ service: 'pypi-index', secret, bus: own, clock: Date.now });
    const invalidations = new Invalidations({ service: 'pypi-index', pool, bus: own, log: () => undefined });
    return { service: 'pypi-index', bus: own, log, trust, clock: Date.now, pool, invalidations, blobs };
  };
  const stopping: (() => Promise<void>)[] = [];
  return {
    bus,
    feed,
    blobs,
    pool,
    readable,
    complaints,
    async heads() {
      const trust = new Trust({ service: 'gateway', secret, bus, clock: Date.now });
      return clientOf(Heads, bus, { assertion: await trust.assertionFor('pypi-index'), timeoutMs: 60_000 });
    },
    ports,
    async upkeep() {
      const trust = new Trust({ service: 'platform', secret, bus, clock: Date.now });
      return clientOf(Upkeep, bus, { assertion: await trust.assertionFor('pypi-index'), timeoutMs: 60_000 });
    },
    worker(other = blobs) {
      const worker = pypiIndexer({ ...ports(), blobs: other });
      stopping.push(() => worker.stop());
      return worker;
    },
    async start() {
      const own = ports();
      await own.invalidations.start();
      const service = await createBusService(pypiIndexModule(own), own.bus, log, { logger: false });
      await service.listen();
      let stopped = false;
      const stop = async () => {
        if (stopped) return;
        stopped = true;
        await service.close();
        await own.invalidations.stop();
      };
      stopping.push(stop);
      return { stop };
    },
    async stop() {
      for (const stop of stopping) await stop();
      await pool.end();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A wheel or source distribution as the packages service tells it. */
export function aFile(
  name: string,
  version: string,
  options: {
    readonly filetype?: 'wheel' | 'sdist';
    readonly labels?: readonly string[];
    readonly minute?: number;
  } = {},
): ToldFile {
  const { filetype = 'wheel', labels = ['main'], minute = 0 } = options;
  const stem = `${name.replaceAll('-', '_')}-${version}`;
  const filename = filetype === 'wheel' ? `${stem}-py3-none-any.whl` : `${stem}.tar.gz`;
  const digest = (text: string) => createHash('sha256').update(text).digest('hex');
  const record: SimpleFile = {
    filename,
    sha256: digest(filename),
    sizeBytes: 1_000 + filename.length,
    uploadedAt: new Date(1_700_000_000_000 + minute * 60_000).toISOString(),
    requiresPython: '>=3.9,<4',
    ...(filetype === 'wheel' && { metadataSha256: digest(`${filename}.metadata`) }),
    yanked: false,
  };
  return { subdir: '', filename, labels, version, recordJson: JSON.stringify(record) };
}
