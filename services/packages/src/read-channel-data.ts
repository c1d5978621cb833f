import type { Audience } from '@vivarium/access/audience';
import { sees, type View } from '@vivarium/access/view';
import type { About } from '@vivarium/conda/about';
import {
  type ChannelDataFile,
  type ChannelDataPackage,
  channelDataPackageOf,
  printChannelDataPackage,
} from '@vivarium/conda/channel-data';
import type { RunExports } from '@vivarium/conda/run-exports';
import { Fault } from '@vivarium/fault/fault';
import { pageOf } from './file-row.js';
import { ask, type Queryable } from './query.js';

/** Which packages of a channel are meant: those under a label that the view shows, of these audiences, after a cursor. */
export interface ChannelDataPart {
  readonly channelId: string;
  readonly label: string;
  readonly view: View;
  readonly audienceIds: readonly string[];
  /** Only names that changed after it; 0: all. */
  readonly sinceGeneration: number;
  readonly after: string;
}

export interface ChannelDataEntry {
  readonly name: string;
  /** Empty for what is said of a package as a whole. */
  readonly filename: string;
  readonly json: string;
  readonly subdirs: readonly string[];
}

export interface ChannelDataPage {
  readonly entries: readonly ChannelDataEntry[];
  /** Those names of the page that changed, shown or not. */
  readonly changed: readonly string[];
  readonly generation: number;
  readonly next: string;
}

interface Shown {
  readonly id: string;
  readonly name: string;
  readonly audience: Audience;
  readonly summary: string;
}

/** Packages of a page, before their files are read. */
interface Step {
  readonly packages: readonly Shown[];
  readonly changed: readonly string[];
  readonly generation: number;
  /** The name after which the next step begins; undefined after the last. */
  readonly last: string | undefined;
}

const PACKAGES_PAGE = 200;
const FILES_PAGE = 1_000;
// So many rows of files are held at once, unless a single package has more.
const FILES_BUDGET = 5_000;
// A package with more artifacts under a label is told by those that were uploaded last.
const FILES_OF_PACKAGE = 20_000;

// After a name, or from it on if the page before ended within its files.
const AFTER = 'p.name >= $2 AND (p.name > $2 OR $4)';
const SHOWN = 'p.id, p.name, p.audience, p.summary';

// By packages_name. Whoever belongs to every audience skips nothing here but what was made a moment ago.
const OF_ALL = `SELECT ${SHOWN} FROM packages p
  WHERE p.channel_id = $1 AND p.removed_at IS NULL AND ${AFTER} AND p.audience_id = ANY($3)
  ORDER BY p.name LIMIT ${PACKAGES_PAGE}`;

// By packages_shown: a page of each audience, then the first of those. What the view does not show is not gone through, so
// that it costs no time either.
const OF_AUDIENCES = `SELECT shown.* FROM unnest($3::text[]) AS mine (id) CROSS JOIN LATERAL (
    SELECT ${SHOWN} FROM packages p
    WHERE p.channel_id = $1 AND p.audience_id = mine.id AND p.removed_at IS NULL AND ${AFTER}
    ORDER BY p.name LIMIT ${PACKAGES_PAGE}) shown
  ORDER BY shown.name LIMIT ${PACKAGES_PAGE}`;

// By packages_name.
const OF_NAMES = `SELECT ${SHOWN} FROM packages p
  WHERE p.channel_id = $1 AND p.removed_at IS NULL AND p.name = ANY($2) AND p.audience_id = ANY($3) ORDER BY p.name`;

// By changes_generation.
const CHANGED = `SELECT name FROM changes WHERE channel_id = $1 AND kind = 'conda' AND generation > $2 AND name >= $3 AND (name > $3 OR $4)
  ORDER BY name LIMIT ${PACKAGES_PAGE}`;

/**
 * What channeldata.json says of the packages of a part, by name: as many as fit into a message. The cost is in what is shown
 * and in what changed. Throws Fault('not_found') for a channel that is none.
 */
export async function readChannelData(db: Queryable, part: ChannelDataPart): Promise<ChannelDataPage> {
  const step = await readStep(db, part, part.after, false);
  const counted = await withinBudget(db, step.packages);
  const described = await describe(db, part, counted);
  const { page: entries, more } = pageOf(described, bytesOf);
  const isWhole = !more && counted.length === step.packages.length;
  const next = isWhole ? step.last : more ? entries.at(-1)?.name : counted.at(-1)?.name;
  return { entries, changed: upTo(step.changed, next), generation: step.generation, next: next ?? '' };
}

/** The run exports of the artifacts of a part in one subdir, by package and id. Throws as `readChannelData`. */
export async function readRunExports(
  db: Queryable,
  part: ChannelDataPart & { readonly subdir: string },
): Promise<ChannelDataPage> {
  const [afterName = '', afterFile = ''] = part.after.split('/');
  const step = await readStep(db, part, afterName, afterFile !== '');
  const files = await ask<{ id: string; name: string; filename: string; json: string }>(
    db,
    `SELECT f.id, p.name, substr(f.basename, length($3::text) + 2) AS filename,
       json_build_object('run_exports', coalesce(f.record->'run_exports', '{}'::json))::text AS json
     FROM unnest($1::text[], $2::text[]) AS p (id, name) JOIN files f ON f.package_id = p.id
     WHERE f.removed_at IS NULL AND f.kind = 'conda' AND starts_with(f.basename, $3::text || '/')
       AND (p.name <> $5 OR f.id > $6)
       AND EXISTS (SELECT 1 FROM file_labels l WHERE l.file_id = f.id AND l.label = $4)
     ORDER BY p.name, f.id LIMIT ${FILES_PAGE}`,
    [
      step.packages.map(({ id }) => id),
      step.packages.map(({ name }) => name),
      part.subdir,
      part.label,
      afterName,
      afterFile,
    ],
  );
  const audiences = new Map(step.packages.map(({ name, audience }) => [name, audience]));
  const { page, more } = pageOf(files, ({ name, filename, json }) => name.length + filename.length + json.length + 50);
  const isWhole = !more && files.length < FILES_PAGE;
  const last = page.at(-1);
  const next = isWhole ? step.last : last === undefined ? undefined : `${last.name}/${last.id}`;
  const entries = page.flatMap(({ name, filename, json }) => {
    const audience = audiences.get(name);
    if (audience === undefined || !sees(part.view, { audience, name, subdir: part.subdir })) return [];
    return [{ name, filename, json, subdirs: [] }];
  });
  // A name of which more is to come was told as changed with its first artifacts, and may be told again.
  return { entries, changed: upTo(step.changed, next?.split('/')[0]), generation: step.generation, next: next ?? '' };
}

/** The packages of a page, after a name or from it on. The generation is read first: see the contract. */
async function readStep(db: Queryable, part: ChannelDataPart, after: string, isWithin: boolean): Promise<Step> {
  const { channelId, sinceGeneration, audienceIds, view } = part;
  const generation = await readGeneration(db, channelId);
  if (sinceGeneration === 0) {
    const packages = await ask<Shown>(db, view.everything ? OF_ALL : OF_AUDIENCES, [
      channelId,
      after,
      audienceIds,
      isWithin,
    ]);
    const last = packages.length < PACKAGES_PAGE ? undefined : packages.at(-1)?.name;
    return { packages: packages.filter((row) => sees(view, row)), changed: [], generation, last };
  }
  const rows = await ask<{ name: string }>(db, CHANGED, [channelId, sinceGeneration, after, isWithin]);
  const changed = rows.map(({ name }) => name);
  const packages = changed.length === 0 ? [] : await ask<Shown>(db, OF_NAMES, [channelId, changed, audienceIds]);
  const last = changed.length < PACKAGES_PAGE ? undefined : changed.at(-1);
  return { packages: packages.filter((row) => sees(view, row)), changed, generation, last };
}

async function readGeneration(db: Queryable, channelId: string): Promise<number> {
  const [row] = await ask<{ generation: string }>(
    db,
    'SELECT generation FROM channels WHERE id = $1 AND closed_at IS NULL',
    [channelId],
  );
  if (row !== undefined) return Number(row.generation);
  throw new Fault('not_found', 'This channel does not exist any more.');
}

/** As many of the first packages as have few files together, at least one. By files_package. */
async function withinBudget(db: Queryable, packages: readonly Shown[]): Promise<readonly Shown[]> {
  const rows = await ask<{ files: string }>(
    db,
    `SELECT (SELECT count(*) FROM files f WHERE f.package_id = p.id AND f.removed_at IS NULL) AS files
     FROM unnest($1::text[]) WITH ORDINALITY AS p (id, place) ORDER BY p.place`,
    [packages.map(({ id }) => id)],
  );
  let total = 0;
  const end = rows.findIndex(({ files }, at) => {
    total += Number(files);
    return at > 0 && total > FILES_BUDGET;
  });
  return end < 0 ? packages : packages.slice(0, end);
}

/** By files_package and file_labels_pkey. */
async function describe(
  db: Queryable,
  { view, label }: ChannelDataPart,
  packages: readonly Shown[],
): Promise<readonly ChannelDataEntry[]> {
  const rows = await ask<FileRow>(
    db,
    `SELECT p.id AS "packageId", f.* FROM unnest($1::text[]) AS p (id) CROSS JOIN LATERAL (
       SELECT f.id, f.basename, f.record->>'version' AS version, f.record->>'timestamp' AS timestamp,
         f.record->'run_exports' AS "runExports"
       FROM files f WHERE f.package_id = p.id AND f.removed_at IS NULL AND f.kind = 'conda'
         AND EXISTS (SELECT 1 FROM file_labels l WHERE l.file_id = f.id AND l.label = $2)
       ORDER BY f.id DESC LIMIT ${FILES_OF_PACKAGE}) f`,
    [packages.map(({ id }) => id), label],
  );
  const filesOf = Map.groupBy(rows, ({ packageId }) => packageId);
  const found = packages.flatMap((shown) => {
    const files = (filesOf.get(shown.id) ?? []).map(fileOf).filter(({ subdir }) => sees(view, { ...shown, subdir }));
    return files.length === 0 ? [] : [{ shown, said: channelDataPackageOf(files) }];
  });
  const abouts = await readAbouts(db, found);
  return found.map(({ shown, said }) => ({
    name: shown.name,
    filename: '',
    json: printChannelDataPackage(said, { ...summaryOf(shown), ...abouts.get(said.newest.id) }),
    subdirs: said.subdirs,
  }));
}

interface FileRow {
  readonly packageId: string;
  readonly id: string;
  readonly basename: string;
  readonly version: string;
  readonly timestamp: string | null;
  readonly runExports: RunExports | null;
}

type Named = ChannelDataFile & { readonly id: string };

function fileOf({ id, basename, version, timestamp, runExports }: FileRow): Named {
  const slash = basename.indexOf('/');
  const timestampMs = timestamp === null ? null : Number(timestamp);
  return {
    id,
    subdir: basename.slice(0, slash),
    filename: basename.slice(slash + 1),
    version,
    timestampMs,
    runExports,
  };
}

/** What the newest artifact of each package says of itself. By files_pkey. */
async function readAbouts(
  db: Queryable,
  found: readonly { readonly said: ChannelDataPackage<Named> }[],
): Promise<ReadonlyMap<string, About>> {
  const rows = await ask<{ id: string; about: About }>(
    db,
    `SELECT id, jsonb_strip_nulls(jsonb_build_object('license', record->>'license', 'license_family', record->>'license_family'))
       || coalesce(about, '{}') AS about FROM files WHERE id = ANY($1)`,
    [found.map(({ said }) => said.newest.id)],
  );
  return new Map(rows.map(({ id, about }) => [id, about]));
}

function summaryOf({ summary }: Shown): About {
  return summary === '' ? {} : { summary };
}

function bytesOf({ name, json }: ChannelDataEntry): number {
  return Buffer.byteLength(json) + name.length + 100;
}

function upTo(names: readonly string[], last: string | undefined): readonly string[] {
  return last === undefined ? names : names.slice(0, names.indexOf(last) + 1);
}
