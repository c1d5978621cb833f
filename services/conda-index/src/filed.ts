import type { Audience } from '@vivarium/access/audience';
import type { CondaRecord } from '@vivarium/conda/record';
import { chunkTextOf, MAX_CHUNK_BYTES } from '@vivarium/conda/rope';
import { encodeShard, type Shard } from '@vivarium/conda/shard';
import type { FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Fault } from '@vivarium/fault/fault';
import type { IndexingLog } from '@vivarium/indexing/loop';
import { audienceFromProto } from '@vivarium/trust/messages';
import { condaRecordOf } from './feed-record.js';
import { type Place, placeKey } from './place.js';

/** All files of one name in one directory of a label, folded. */
export interface Filed {
  readonly place: Place;
  readonly name: string;
  readonly packageId: string;
  readonly audience: Audience;
  readonly records: Shard;
  readonly bytes: Uint8Array;
  /** Of `bytes`. */
  readonly hash: string;
  readonly textBytes: number;
  readonly newestMs: number;
}

/**
 * Folds the files of some names: name → place → what is there. What cannot be folded is left out with an error in the log: a
 * record alone, or a name where it is not clear who may read it. It must neither blind clients nor hold the channel.
 */
export function filedOf(
  records: readonly FileRecord[],
  log: IndexingLog,
): ReadonlyMap<string, ReadonlyMap<string, Filed>> {
  const filed = new Map<string, ReadonlyMap<string, Filed>>();
  for (const [name, files] of Map.groupBy(records, (file) => file.name)) {
    try {
      filed.set(name, placesOf(name, files, log));
    } catch (error) {
      log.error({ name, error }, 'A package cannot be indexed and is left out.');
    }
  }
  return filed;
}

function placesOf(name: string, files: readonly FileRecord[], log: IndexingLog): ReadonlyMap<string, Filed> {
  const { packageId = '', audience: message } = files[0] ?? {};
  const audience = audienceFromProto(message);
  if (files.some((file) => file.packageId !== packageId || file.audience?.id !== audience.id)) {
    throw new Fault('internal', `The name ${name} has files of several packages.`);
  }
  const gathered = new Map<string, Gathered>();
  for (const file of files) {
    const record = recordOrNothing(file, log);
    if (record === undefined) continue;
    for (const label of file.labels) {
      const place = { label, subdir: file.subdir };
      const key = placeKey(place);
      const there = gathered.get(key) ?? { place, packages: new Map(), condaPackages: new Map() };
      (file.filename.endsWith('.conda') ? there.condaPackages : there.packages).set(file.filename, record);
      gathered.set(key, there);
    }
  }
  return new Map([...gathered].map(([key, there]) => [key, { name, packageId, audience, ...folded(there) }]));
}

interface Gathered {
  readonly place: Place;
  readonly packages: Map<string, CondaRecord>;
  readonly condaPackages: Map<string, CondaRecord>;
}

function folded({ place, ...records }: Gathered) {
  const textBytes =
    Buffer.byteLength(chunkTextOf(records.packages)) + Buffer.byteLength(chunkTextOf(records.condaPackages));
  const times = [...records.packages.values(), ...records.condaPackages.values()].map((each) => each.indexed_timestamp);
  return { place, records, ...encodeShard(records), textBytes, newestMs: times.reduce((a, b) => Math.max(a, b), 0) };
}

function recordOrNothing(file: FileRecord, log: IndexingLog): CondaRecord | undefined {
  const { filename, subdir, name } = file;
  try {
    const record = condaRecordOf(file);
    // What fits into no chunk would make every later fold of its chunk fail.
    if (Buffer.byteLength(chunkTextOf(new Map([[filename, record]]))) > MAX_CHUNK_BYTES) {
      throw new Fault('too_large', `The record of ${filename} is larger than ${MAX_CHUNK_BYTES} bytes.`);
    }
    return record;
  } catch (error) {
    log.error({ name, subdir, filename, error }, 'A record cannot be indexed and is left out.');
    return undefined;
  }
}
