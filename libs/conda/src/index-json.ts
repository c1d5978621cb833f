// `info/index.json` as a builder wrote it, read into one shape. Every field that reaches an index has its check here: one
// record of a wrong type makes a package, or its whole platform directory, unreadable for every client.
import { Fault } from '@vivarium/fault/fault';
import { isCondaBuild } from './filename.js';
import { parseCondaName } from './name.js';
import { isCondaVersion } from './version.js';

export interface CondaIndex {
  readonly name: string;
  readonly version: string;
  readonly build: string;
  readonly buildNumber: number;
  readonly depends: readonly string[];
  readonly constrains: readonly string[];
  readonly subdir: string | undefined;
  readonly noarch: 'python' | 'generic' | undefined;
  /** Milliseconds; old packages that give seconds are converted. */
  readonly timestampMs: number | undefined;
  readonly license: string | undefined;
  readonly licenseFamily: string | undefined;
  readonly features: string | undefined;
  readonly trackFeatures: string | undefined;
  readonly pythonSitePackagesPath: string | undefined;
  /** What old desktop tools show; passed on as it is. */
  readonly app: Readonly<Record<string, string>>;
}

const MAX_SPECS = 2000;
const MAX_TEXT_CHARACTERS = 4096;
// The last second of the year 9999: above it a number can only mean milliseconds.
const MAX_SECONDS = 253_402_300_799;
const APP_FIELDS = ['app_cli_opts', 'app_entry', 'app_type', 'icon', 'summary', 'type'] as const;

/**
 * The fields of an index.json that matter to us, checked and in one shape; others are ignored.
 * Throws Fault('invalid') with the field at fault. Sources: CEP-34, CEP-36, and what conda and rattler fail on.
 */
export function parseCondaIndex(index: Readonly<Record<string, unknown>>): CondaIndex {
  checkSchema(index);
  checkForeign(index);
  return {
    name: parseCondaName(requiredText(index, 'name')),
    version: versionOf(index),
    build: buildOf(index),
    buildNumber: buildNumberOf(index),
    depends: specsOf(index, 'depends'),
    constrains: specsOf(index, 'constrains'),
    subdir: textOf(index, 'subdir'),
    noarch: noarchOf(index.noarch),
    timestampMs: timestampOf(index.timestamp),
    license: textOf(index, 'license'),
    licenseFamily: textOf(index, 'license_family'),
    features: textOf(index, 'features'),
    trackFeatures: trackFeaturesOf(index),
    pythonSitePackagesPath: sitePackagesOf(index),
    app: appOf(index),
  };
}

function checkSchema(index: Readonly<Record<string, unknown>>): void {
  const version = index.schema_version ?? 1;
  if (version === 1 || version === 2) return;
  throw refusal(
    'schema_version',
    version,
    'must be 1 or 2; packages of schema 3 (conditional dependencies, flags) cannot be served yet',
  );
}

// What the server or the client states of a file is not the file's to state: conda fails on a record that carries `url` or
// `channel`, and other tools would download from there.
function checkForeign(index: Readonly<Record<string, unknown>>): void {
  for (const key of ['url', 'channel', 'fn']) {
    if (index[key] !== undefined) throw refusal(key, index[key], 'must not be in a package');
  }
  const { size, md5, sha256 } = index;
  if (size !== undefined && !isCount(size)) throw refusal('size', size, 'must be a whole number');
  if (md5 !== undefined && !isHex(md5, 32)) throw refusal('md5', md5, 'must be 32 hexadecimal digits');
  if (sha256 !== undefined && !isHex(sha256, 64)) throw refusal('sha256', sha256, 'must be 64 hexadecimal digits');
}

function versionOf(index: Readonly<Record<string, unknown>>): string {
  const version = requiredText(index, 'version');
  if (isCondaVersion(version) && !version.includes('-')) return version;
  throw refusal('version', version, 'must be a version like 1.2.3 or 2.0rc1, without "-", numbers at most 2147483647');
}

function buildOf(index: Readonly<Record<string, unknown>>): string {
  const build = requiredText(index, 'build');
  if (isCondaBuild(build)) return build;
  throw refusal('build', build, 'must be 1 to 64 letters, digits, "_", "." or "+"');
}

function buildNumberOf(index: Readonly<Record<string, unknown>>): number {
  if (isCount(index.build_number)) return index.build_number;
  throw refusal('build_number', index.build_number, 'must be a whole number, not negative');
}

function specsOf(index: Readonly<Record<string, unknown>>, key: string): readonly string[] {
  const value = index[key] === undefined ? [] : index[key];
  if (isTexts(value) && value.length <= MAX_SPECS) return value;
  throw refusal(key, value, `must be a list of at most ${MAX_SPECS} specs`);
}

function noarchOf(value: unknown): CondaIndex['noarch'] {
  if (value === undefined || value === null || value === false) return undefined;
  if (value === 'python' || value === 'generic') return value;
  // The first noarch packages said only that they are.
  if (value === true) return 'generic';
  throw refusal('noarch', value, 'must be "python" or "generic"');
}

function timestampOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isCount(value)) throw refusal('timestamp', value, 'must be a whole number of milliseconds since 1970');
  return value <= MAX_SECONDS ? value * 1000 : value;
}

function trackFeaturesOf(index: Readonly<Record<string, unknown>>): string | undefined {
  const value = index.track_features;
  if (isTexts(value)) return value.length > 0 ? value.join(' ') : undefined;
  return textOf(index, 'track_features');
}

function sitePackagesOf(index: Readonly<Record<string, unknown>>): string | undefined {
  const value = textOf(index, 'python_site_packages_path');
  if (value === undefined) return undefined;
  // Clients write files below it.
  const segments = value.split(/[\\/]/);
  if (/^[A-Za-z0-9_.\\/+-]+$/.test(value) && segments.every((s) => s !== '' && s !== '.' && s !== '..')) return value;
  throw refusal('python_site_packages_path', value, 'must be a relative path inside the environment');
}

function appOf(index: Readonly<Record<string, unknown>>): Record<string, string> {
  const app: Record<string, string> = {};
  for (const key of APP_FIELDS) {
    const value = index[key];
    if (typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS) app[key] = value;
  }
  return app;
}

function requiredText(index: Readonly<Record<string, unknown>>, key: string): string {
  const value = index[key];
  if (typeof value === 'string') return value;
  throw refusal(key, value, 'must be a text');
}

/** A text, or undefined where it is absent, null or empty. */
function textOf(index: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = index[key];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS) return value;
  throw refusal(key, value, `must be a text of at most ${MAX_TEXT_CHARACTERS} characters`);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

function isHex(value: unknown, digits: number): boolean {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value);
}

function refusal(key: string, value: unknown, rule: string): Fault {
  const shown = (value === undefined ? 'absent' : JSON.stringify(value)).slice(0, 120);
  return new Fault('invalid', `"${key}" of info/index.json ${rule}; it is ${shown}. Mend the recipe and build again.`);
}
