import type { About } from './about.js';
import type { RunExports } from './run-exports.js';
import { compareVersions } from './version.js';

/** One artifact of a package, as far as channeldata.json depends on it. */
export interface ChannelDataFile {
  readonly subdir: string;
  readonly filename: string;
  readonly version: string;
  /** Milliseconds; null if the package does not say when it was built. */
  readonly timestampMs: number | null;
  /** Null if unknown. */
  readonly runExports: RunExports | null;
}

/** What of a package stands in channeldata.json, but for what its newest artifact says of itself. */
export interface ChannelDataPackage<File extends ChannelDataFile = ChannelDataFile> {
  readonly newest: File;
  /** Sorted. */
  readonly subdirs: readonly string[];
  /** Version → its run exports, oldest first, where it has any. */
  readonly runExports: Readonly<Record<string, RunExports>>;
}

// A file that everybody downloads whole: who exports much, for hundreds of versions, is found in run_exports.json.
const RUN_EXPORTS_BYTES = 4_096;

/**
 * What the artifacts of one package come to, in all subdirs: the newest is of the highest version, built last. Run exports of
 * versions are those of what was built last of each; if they are longer than 4 kB together, only the newest version's are
 * given, and none if these are too long alone. Throws Fault('invalid') for what is no version, and an Error for no artifact.
 * Source: CEP-38.
 */
export function channelDataPackageOf<File extends ChannelDataFile>(files: readonly File[]): ChannelDataPackage<File> {
  const lastOf = new Map<string, File>();
  for (const file of files) {
    const other = lastOf.get(file.version);
    if (other === undefined || isLater(file, other)) lastOf.set(file.version, file);
  }
  const versions = [...lastOf.values()].sort((a, b) => compareVersions(a.version, b.version) || compareBuilt(a, b));
  const newest = versions.at(-1);
  if (newest === undefined) throw new Error('a package without artifacts');
  const subdirs = [...new Set(files.map(({ subdir }) => subdir))].sort();
  return { newest, subdirs, runExports: runExportsOf(versions, newest) };
}

/** The value of a package in `packages` of channeldata.json, as JSON with sorted keys: equal content gives equal bytes. */
export function printChannelDataPackage({ newest, subdirs, runExports }: ChannelDataPackage, about: About): string {
  const { timestampMs, version, subdir, filename } = newest;
  const entry: Record<string, unknown> = {
    ...about,
    reference_package: `${subdir}/${filename}`,
    run_exports: runExports,
    subdirs,
    ...(timestampMs === null ? {} : { timestamp: Math.floor(timestampMs / 1_000) }),
    version,
  };
  return JSON.stringify(Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/**
 * The text of `channeldata.json`, in pieces, of packages that are JSON already, by name and in its order: the same packages are
 * the same text. Source: CEP-38.
 */
export function* channelDataPieces(
  packages: Iterable<readonly [name: string, json: string]>,
  subdirs: Iterable<string>,
): Generator<string> {
  yield `{"channeldata_version":1,"packages":{`;
  yield* entryPieces(packages);
  yield `},"subdirs":${JSON.stringify([...new Set(subdirs)].sort())}}`;
}

/**
 * The text of `run_exports.json` of one subdir, in pieces, of artifacts whose value is JSON already, by file name. They are gone
 * through twice, and stay in their order. Source: CEP-12.
 */
export function* runExportsPieces(
  subdir: string,
  artifacts: Iterable<readonly [filename: string, json: string]>,
): Generator<string> {
  yield `{"info":${JSON.stringify({ subdir, version: 1 })},"packages":{`;
  yield* entryPieces(artifacts, (filename) => !filename.endsWith('.conda'));
  yield '},"packages.conda":{';
  yield* entryPieces(artifacts, (filename) => filename.endsWith('.conda'));
  yield '}}';
}

function* entryPieces(
  entries: Iterable<readonly [key: string, json: string]>,
  isMeant: (key: string) => boolean = () => true,
): Generator<string> {
  let comma = '';
  for (const [key, json] of entries) {
    if (!isMeant(key)) {
      // Who goes through the pieces may want to do something else now and then.
      yield '';
      continue;
    }
    yield `${comma}${JSON.stringify(key)}:${json}`;
    comma = ',';
  }
}

function runExportsOf(versions: readonly ChannelDataFile[], newest: ChannelDataFile): Record<string, RunExports> {
  const all = recordOf(versions);
  if (JSON.stringify(all).length <= RUN_EXPORTS_BYTES) return all;
  const last = recordOf([newest]);
  return JSON.stringify(last).length <= RUN_EXPORTS_BYTES ? last : {};
}

function recordOf(versions: readonly ChannelDataFile[]): Record<string, RunExports> {
  return Object.fromEntries(
    versions.flatMap(({ version, runExports }) =>
      runExports === null || Object.keys(runExports).length === 0 ? [] : [[version, runExports]],
    ),
  );
}

function isLater(a: ChannelDataFile, b: ChannelDataFile): boolean {
  return compareBuilt(a, b) > 0;
}

/** By time of building; of equal ones by place and name, so that the order of reading does not matter. */
function compareBuilt(a: ChannelDataFile, b: ChannelDataFile): number {
  const [left, right] = [`${a.subdir}/${a.filename}`, `${b.subdir}/${b.filename}`];
  return (a.timestampMs ?? 0) - (b.timestampMs ?? 0) || (left < right ? -1 : left > right ? 1 : 0);
}
