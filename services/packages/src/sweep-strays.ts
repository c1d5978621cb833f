import { blobOf, PREFIXES } from '@vivarium/blobs/keys';
import { ask } from './query.js';
import type { SweepOptions, SweepPorts, Swept } from './sweep-options.js';

interface Listed {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

const BATCH = 500;
// As long as an upload may take: what is still on its way has no row yet.
const STAGING_MS = 24 * 60 * 60 * 1000;

/** Removes objects that no row tells of: what a crash left between the bytes and their row, or between row and bytes. */
export async function sweepStrays(ports: SweepPorts, options: SweepOptions): Promise<readonly Swept[]> {
  return [
    await sweepPrefix(ports, options, {
      what: 'objects of blobs that no row names',
      prefix: PREFIXES.blobs,
      ageMs: options.graceMs,
      known: (keys) => knownBlobKeys(ports, keys),
    }),
    await sweepPrefix(ports, options, {
      what: 'received bytes that no upload tells of',
      prefix: PREFIXES.staging,
      ageMs: STAGING_MS,
      known: (keys) => knownStagingKeys(ports, keys),
    }),
  ];
}

interface Prefix {
  readonly what: string;
  readonly prefix: string;
  /** Younger ones are left alone. */
  readonly ageMs: number;
  /** Those of the keys that must stay. Asked after the objects were seen. */
  readonly known: (keys: readonly string[]) => Promise<ReadonlySet<string>>;
}

async function sweepPrefix(
  { blobs, clock }: SweepPorts,
  { dryRun, signal }: SweepOptions,
  { what, prefix, ageMs, known }: Prefix,
): Promise<Swept> {
  let count = 0;
  let sizeBytes = 0;
  const look = async (listed: readonly Listed[]): Promise<void> => {
    const stay = await known(listed.map(({ key }) => key));
    for (const each of listed) {
      if (stay.has(each.key)) continue;
      if (!dryRun) await blobs.delete(each.key);
      count += 1;
      sizeBytes += each.sizeBytes;
    }
  };
  let page: Listed[] = [];
  for await (const each of blobs.list(prefix)) {
    if (signal?.aborted === true) break;
    if (each.modifiedAtMs > clock() - ageMs) continue;
    page.push(each);
    if (page.length < BATCH) continue;
    await look(page);
    page = [];
  }
  await look(page);
  return { what, count, sizeBytes };
}

/**
 * Keys that a row names, or whose bytes an upload has pinned: it may be about to write that row. Rows and pins are looked up
 * in one statement, after the object was seen; a pin is committed before the object is put and outlives the row's coming.
 */
async function knownBlobKeys({ pool }: SweepPorts, keys: readonly string[]): Promise<ReadonlySet<string>> {
  const sha256s = keys.map((key) => blobOf(key)?.sha256 ?? '');
  const rows = await ask<{ key: string }>(
    pool,
    `SELECT l.key FROM unnest($1::text[], $2::text[]) AS l (key, sha256)
     WHERE l.sha256 = '' OR EXISTS (SELECT 1 FROM blobs b WHERE b.object_key = l.key)
       OR EXISTS (SELECT 1 FROM pins p WHERE p.sha256 = l.sha256)`,
    [keys, sha256s],
  );
  return new Set(rows.map(({ key }) => key));
}

async function knownStagingKeys({ pool }: SweepPorts, keys: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await ask<{ key: string }>(pool, 'SELECT staging_key AS key FROM stages WHERE staging_key = ANY($1)', [
    keys,
  ]);
  return new Set(rows.map(({ key }) => key));
}
