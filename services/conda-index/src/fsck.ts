import { inTransaction } from '@vivarium/db/open';
import { checkIndex, type IndexChecked, SETTLE_MS } from '@vivarium/indexing/index-fsck';
import { type Filed, filedOf } from './filed.js';
import { checkStored } from './fsck-stored.js';
import type { CondaIndexPorts } from './ports.js';
import { readGenerations, readShards, type ShardRow } from './stored.js';
import { NAMED } from './sweep.js';

/** Compares the conda index of a channel with the truth, with itself and with its objects, while everything goes on. */
export function check(
  ports: CondaIndexPorts,
  channelId: string,
  { repair, settleMs = SETTLE_MS }: { readonly repair: boolean; readonly settleMs?: number },
): Promise<IndexChecked> {
  const { pool } = ports;
  const options = {
    ...ports,
    kind: 'conda' as const,
    named: NAMED,
    settleMs,
    readGenerations: (channelIds: readonly string[]) => readGenerations(pool, channelIds),
    readShown: (id: string, names: readonly string[] | undefined) => readShown(ports, id, names),
    shownOf,
    checkObjects: (id: string, objects: Parameters<typeof checkStored>[2]) => checkStored(ports, id, objects, repair),
  };
  return checkIndex(options, channelId, repair);
}

function readShown({ pool }: CondaIndexPorts, channelId: string, names: readonly string[] | undefined) {
  return inTransaction(
    pool,
    async (tx) => {
      const generations = await readGenerations(tx, [channelId]);
      const shown = new Map<string, Map<string, string>>();
      for (const row of await readShards(tx, channelId, names)) {
        shown.set(row.name, (shown.get(row.name) ?? new Map()).set(placeOf(row), textOf(row)));
      }
      return { generation: generations.get(channelId) ?? 0, shown };
    },
    { isolation: 'repeatable read' },
  );
}

function shownOf(records: Parameters<typeof filedOf>[0]) {
  const complaints = new Map<string, string[]>();
  const error = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    const name = String(fields.name);
    const which = fields.filename === undefined ? name : `${name}: ${fields.subdir}/${fields.filename}`;
    complaints.set(name, [...(complaints.get(name) ?? []), `${which}: ${message} (${reasonOf(fields.error)})`]);
  };
  const filed = filedOf(records, { error, warn: error });
  const shown = new Map(
    [...filed].map(([name, places]) => [
      name,
      new Map([...places.values()].map((each) => [placeOf(each), textOf(each)] as const)),
    ]),
  );
  return { shown, complaints };
}

type Placed = Pick<Filed | ShardRow, 'place' | 'hash' | 'audience' | 'packageId'>;

function placeOf({ place }: Placed): string {
  return `${place.subdir} of label ${place.label}`;
}

function textOf({ hash, audience, packageId }: Placed): string {
  return `shard ${hash} of package ${packageId} for ${audience.id}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
