import { Fault } from '@vivarium/fault/fault';
import { type CondaIndex, parseCondaIndex } from './index-json.js';
import type { RunExports } from './run-exports.js';

/**
 * One artifact in an index, under the keys that clients read. Hashes are hexadecimal; times are milliseconds.
 * `run_exports` is absent when unknown and `{}` when there are none; it goes into shards only.
 */
export interface CondaRecord {
  readonly app_cli_opts?: string;
  readonly app_entry?: string;
  readonly app_type?: string;
  readonly build: string;
  readonly build_number: number;
  readonly constrains?: readonly string[];
  readonly depends: readonly string[];
  readonly features?: string;
  readonly icon?: string;
  readonly indexed_timestamp: number;
  readonly license?: string;
  readonly license_family?: string;
  readonly md5: string;
  readonly name: string;
  readonly noarch?: 'python' | 'generic';
  readonly python_site_packages_path?: string;
  readonly run_exports?: RunExports;
  readonly sha256: string;
  readonly size: number;
  readonly subdir: string;
  readonly summary?: string;
  readonly timestamp?: number;
  readonly track_features?: string;
  readonly type?: string;
  readonly version: string;
}

/** What the server knows of an artifact itself, whatever the archive says. */
export interface RecordFacts {
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: number;
  readonly subdir: string;
  readonly indexedAtMs: number;
  readonly runExports?: RunExports | undefined;
}

/**
 * The record of an artifact from its index.json and what the server measured. Only known fields pass, each in the type that
 * every client reads; keys are in alphabetical order, so equal records are equal bytes.
 * Throws Fault('invalid') if a field of index.json has a wrong type, Fault('internal') if a fact has.
 * Sources: CEP-36 (fields), CEP-47 (indexed_timestamp), CEP-12 and CEP-21 (run_exports).
 */
export function recordOf(index: Readonly<Record<string, unknown>>, facts: RecordFacts): CondaRecord {
  checkFacts(facts);
  const own = parseCondaIndex(index);
  return {
    ...appField(own.app, 'app_cli_opts'),
    ...appField(own.app, 'app_entry'),
    ...appField(own.app, 'app_type'),
    build: own.build,
    build_number: own.buildNumber,
    ...(own.constrains.length > 0 && { constrains: own.constrains }),
    depends: own.depends,
    ...(own.features !== undefined && { features: own.features }),
    ...appField(own.app, 'icon'),
    indexed_timestamp: facts.indexedAtMs,
    ...(own.license !== undefined && { license: own.license }),
    ...(own.licenseFamily !== undefined && { license_family: own.licenseFamily }),
    md5: facts.md5,
    name: own.name,
    ...(own.noarch !== undefined && { noarch: own.noarch }),
    ...(own.pythonSitePackagesPath !== undefined && { python_site_packages_path: own.pythonSitePackagesPath }),
    ...(facts.runExports !== undefined && { run_exports: facts.runExports }),
    sha256: facts.sha256,
    size: facts.sizeBytes,
    subdir: facts.subdir,
    ...appField(own.app, 'summary'),
    ...(own.timestampMs !== undefined && { timestamp: own.timestampMs }),
    ...(own.trackFeatures !== undefined && { track_features: own.trackFeatures }),
    ...appField(own.app, 'type'),
    version: own.version,
  };
}

function appField(app: CondaIndex['app'], key: string): Readonly<Record<string, string>> {
  const value = app[key];
  return value === undefined ? {} : { [key]: value };
}

function checkFacts(facts: RecordFacts): void {
  const sound =
    /^[0-9a-f]{64}$/.test(facts.sha256) &&
    /^[0-9a-f]{32}$/.test(facts.md5) &&
    Number.isSafeInteger(facts.sizeBytes) &&
    Number.isSafeInteger(facts.indexedAtMs);
  if (!sound) throw new Fault('internal', 'The facts of a record are incomplete: it needs both hashes, size and time.');
}
