import { createHash } from 'node:crypto';
import { inTransaction } from '@vivarium/db/open';
import {
  type CheckedObjects,
  checkIndex,
  type Difference,
  type IndexChecked,
  REBUILD,
  SETTLE_MS,
} from '@vivarium/indexing/index-fsck';
import { encodePypiManifest } from '@vivarium/pypi/manifest';
import { type Filed, filedOf } from './filed.js';
import { LabelIndex } from './label-index.js';
import type { PypiIndexPorts } from './ports.js';
import { type ProjectRow, readGenerations, readHeads, readProjects } from './stored.js';
import { NAMED } from './sweep.js';

/** Compares the Python index of a channel with the truth, with itself and with its objects, while everything goes on. */
export function check(
  ports: PypiIndexPorts,
  channelId: string,
  { repair, settleMs = SETTLE_MS }: { readonly repair: boolean; readonly settleMs?: number },
): Promise<IndexChecked> {
  const { pool } = ports;
  const options = {
    ...ports,
    kind: 'pypi' as const,
    named: NAMED,
    settleMs,
    readGenerations: (channelIds: readonly string[]) => readGenerations(pool, channelIds),
    readShown: (id: string, names: readonly string[] | undefined) => readShown(ports, id, names),
    shownOf,
    checkObjects: (id: string, objects: CheckedObjects) => checkStored(ports, id, objects),
  };
  return checkIndex(options, channelId, repair);
}

function readShown({ pool }: PypiIndexPorts, channelId: string, names: readonly string[] | undefined) {
  return inTransaction(
    pool,
    async (tx) => {
      const generations = await readGenerations(tx, [channelId]);
      const shown = new Map<string, Map<string, string>>();
      for (const row of await readProjects(tx, channelId, names)) {
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
    const which = fields.filename === undefined ? name : `${name}: ${fields.filename}`;
    complaints.set(name, [...(complaints.get(name) ?? []), `${which}: ${message} (${reasonOf(fields.error)})`]);
  };
  const filed = filedOf(records, { error, warn: error });
  const shown = new Map(
    [...filed].map(([name, labels]) => [
      name,
      new Map([...labels.values()].map((each) => [placeOf(each), textOf(each)] as const)),
    ]),
  );
  return { shown, complaints };
}

/** Heads against the rows that they stand for; every manifest and page is there, with the bytes that its name says. */
async function checkStored(
  { pool }: PypiIndexPorts,
  channelId: string,
  objects: CheckedObjects,
): Promise<readonly Difference[]> {
  const { projects, heads } = await inTransaction(
    pool,
    async (tx) => ({ projects: await readProjects(tx, channelId), heads: await readHeads(tx, channelId) }),
    { isolation: 'repeatable read' },
  );
  const byLabel = Map.groupBy(projects, ({ label }) => label);
  const differences: Difference[] = [];
  for (const label of new Set([...byLabel.keys(), ...heads.keys()])) {
    const rows = byLabel.get(label) ?? [];
    const hash = heads.get(label);
    const manifest = encodePypiManifest(new LabelIndex(rows).manifest());
    const should = rows.length === 0 ? undefined : createHash('sha256').update(manifest).digest('hex');
    if (hash !== should) {
      const what = `the Python head of label ${label} names the manifest ${hash ?? 'none'}, and its rows make ${should ?? 'none'}`;
      differences.push({ what, remedy: REBUILD, rebuild: true });
    }
    if (hash !== undefined) await objects.read('heads', hash, `the manifest of label ${label}`);
    for (const { name, pages } of rows) {
      const hashes = [pages.json, pages.jsonGzip, pages.html, pages.htmlGzip];
      await Promise.all(hashes.map((each) => objects.read('index', each, `a page of ${name} in label ${label}`)));
    }
  }
  return differences;
}

type Placed = Pick<Filed | ProjectRow, 'label' | 'pages' | 'audience' | 'packageId'>;

function placeOf({ label }: Placed): string {
  return `label ${label}`;
}

function textOf({ pages, audience, packageId }: Placed): string {
  const { json, jsonGzip, html, htmlGzip } = pages;
  return `pages ${json} ${jsonGzip} ${html} ${htmlGzip} of package ${packageId} for ${audience.id}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
