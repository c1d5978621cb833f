import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Audience, audienceOf } from '@vivarium/access/audience';
import type { Blobs } from '@vivarium/blobs/blobs';
import { openFolderBlobs } from '@vivarium/blobs/folder';
import { openLog } from '@vivarium/boot/log';
import { recordOf } from '@vivarium/conda/record';
import { Heads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Upkeep } from '@vivarium/contracts/gen/vivarium/condaindex/v1/upkeep_pb';
import { type ChannelReadable, ChannelReadableSchema } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Feed } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { migrate } from '@vivarium/db/migrate';
import { openPool } from '@vivarium/db/open';
import { startTemporaryPostgres } from '@vivarium/db/temporary';
import type { ChannelIndexer } from '@vivarium/indexing/channel-indexer';
import { ToldFeed, type ToldFile } from '@vivarium/indexing/feed.fixture';
import { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import { subscribeEvent } from '@vivarium/rpc/events';
import { LocalExchange } from '@vivarium/rpc/local';
import { createBusService } from '@vivarium/rpc/nest';
import { type ClientOf, clientOf, serve } from '@vivarium/rpc/rpc';
import { Trust } from '@vivarium/trust/trust';
import { condaIndexer } from './conda-indexer.js';
import { condaIndexModule } from './module.js';
import type { CondaIndexPorts } from './ports.js';

export const PUBLIC = audienceOf({ visibility: 'public', grants: [] });
export const SIGNED_IN = audienceOf({ visibility: 'authenticated', grants: [] });
export const privateTo = (...groups: string[]): Audience =>
  audienceOf({ visibility: 'private', grants: groups.map((id) => ({ kind: 'group', id, permission: 'read' })) });

export interface Stage {
  readonly bus: Bus;
  readonly feed: ToldFeed;
  readonly blobs: Blobs;
  readonly pool: CondaIndexPorts['pool'];
  /** What was said to be readable, in order. */
  readonly readable: readonly ChannelReadable[];
  /** Lines of the log above info. */
  readonly complaints: readonly string[];
  /** The contract, as the gateway calls it. */
  heads(): Promise<ClientOf<typeof Heads>>;
  /** Ports of its own, for what is run by hand. */
  ports(): CondaIndexPorts;
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
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-conda-index-'));
  const blobs = await openFolderBlobs(folder);
  const complaints: string[] = [];
  const destination = { write: (line: string) => void complaints.push(line) };
  const log = openLog({ level: 'warn', service: 'conda-index', destination });
  const dir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));
  await migrate({ url: postgres.url, migrations: [{ schema: 'conda_index', dir }], log: () => undefined });
  const pool = openPool({
    url: postgres.url,
    schema: 'conda_index',
    applicationName: 'conda-index test',
    log: (line) => void complaints.push(line),
  });
  const exchange = new LocalExchange();
  const bus = exchange.connect({ error: console.error });
  const secret = randomBytes(32).toString('hex');
  const feed = new ToldFeed();
  await serve(Feed, feed, bus, { error: console.error });
  const readable: ChannelReadable[] = [];
  await subscribeEvent(bus, ChannelReadableSchema, 'readable.*.conda', (event) => readable.push(event));
  const ports = (): CondaIndexPorts => {
    const own = exchange.connect({ error: console.error });
    const trust = new Trust({ service: 'conda-index', secret, bus: own, clock: Date.now });
    const invalidations = new Invalidations({ service: 'conda-index', pool, bus: own, log: () => undefined });
    return { service: 'conda-index', bus: own, log, trust, clock: Date.now, pool, invalidations, blobs };
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
      return clientOf(Heads, bus, { assertion: await trust.assertionFor('conda-index'), timeoutMs: 60_000 });
    },
    ports,
    async upkeep() {
      const trust = new Trust({ service: 'platform', secret, bus, clock: Date.now });
      return clientOf(Upkeep, bus, { assertion: await trust.assertionFor('conda-index'), timeoutMs: 60_000 });
    },
    worker(other = blobs) {
      const worker = condaIndexer({ ...ports(), blobs: other });
      stopping.push(() => worker.stop());
      return worker;
    },
    async start() {
      const own = ports();
      await own.invalidations.start();
      const service = await createBusService(condaIndexModule(own), own.bus, log, { logger: false });
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

/** A file as the packages service tells it, with a record as it makes them. */
export function aFile(
  name: string,
  version: string,
  options: {
    readonly subdir?: string;
    readonly format?: 'conda' | 'tar.bz2';
    readonly labels?: readonly string[];
    readonly indexedAtMs?: number;
    readonly depends?: readonly string[];
    readonly license?: string;
  } = {},
): ToldFile {
  const { subdir = 'linux-64', format = 'conda', labels = ['main'], indexedAtMs = 1_700_000_000_000 } = options;
  const filename = `${name}-${version}-0.${format}`;
  const index = {
    name,
    version,
    build: '0',
    build_number: 0,
    subdir,
    depends: options.depends ?? [],
    ...(options.license !== undefined && { license: options.license }),
    ...(subdir === 'noarch' && { noarch: 'generic' }),
  };
  const record = recordOf(index, {
    sha256: createHash('sha256').update(filename).digest('hex'),
    md5: createHash('md5').update(filename).digest('hex'),
    sizeBytes: 1_000 + filename.length,
    subdir,
    indexedAtMs,
    runExports: { weak: [`${name} >=${version}`] },
  });
  return { subdir, filename, labels, version, recordJson: JSON.stringify(record) };
}
