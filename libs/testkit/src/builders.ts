import { spawnSync } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { findProgram } from './programs.js';
import { type TarMember, tarOf } from './tar-writer.js';
import { zipOf } from './zip-writer.js';

/** A package file as a publisher holds it. */
export interface BuiltFile {
  /** Without a folder: `foo-1.0-0.conda`, `foo-1.0-py3-none-any.whl`. */
  readonly filename: string;
  readonly bytes: Buffer;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly md5: string;
}

/** Paths and contents. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

export interface CondaPackageSpec {
  readonly name: string;
  readonly version: string;
  /** `0` unless said otherwise; a number at its end is the build number. */
  readonly build?: string;
  /** `noarch` (generic) unless said otherwise. */
  readonly subdir?: string;
  readonly depends?: readonly string[];
  readonly format?: 'conda' | 'tar.bz2';
  /** Installed into the environment; one small text unless said otherwise. */
  readonly files?: Files;
  /** Merged into `info/about.json`. */
  readonly about?: Readonly<Record<string, unknown>>;
  /** `info/run_exports.json`; none unless given. */
  readonly runExports?: Readonly<Record<string, readonly string[]>>;
  /** Merged into `info/index.json`, to contradict the file name or to add fields; `undefined` removes one. */
  readonly indexOverrides?: Readonly<Record<string, unknown>>;
  /** More members of `info/`, or other contents of those there are; `undefined` leaves one out. */
  readonly info?: Readonly<Record<string, string | Uint8Array | undefined>>;
  /** Bytes that no compression shrinks, added as `share/<name>/filler.bin`. */
  readonly sizeBytes?: number;
}

/**
 * A conda package that conda, mamba and rattler install. The same arguments give the same bytes.
 * `tar.bz2` needs `bzip2` or Python on this machine (see `canBzip2`) and throws an Error without.
 * Source: CEP 27 (containers), CEP 34 (contents), CEP 35 (.conda).
 */
export function aCondaPackage(spec: CondaPackageSpec): BuiltFile & { readonly subdir: string } {
  const { name, version, build = '0', subdir = 'noarch' } = spec;
  const stem = `${name}-${version}-${build}`;
  const content = condaContent(spec);
  const info = condaInfo(spec, content);
  const toMembers = (files: Files) => Object.entries(files).map(([path, bytes]): TarMember => ({ path, bytes }));
  if (spec.format === 'tar.bz2') {
    return { ...built(`${stem}.tar.bz2`, bzip2(tarOf(toMembers({ ...info, ...content })))), subdir };
  }
  const bytes = zipOf([
    { name: 'metadata.json', bytes: JSON.stringify({ conda_pkg_format_version: 2 }) },
    { name: `pkg-${stem}.tar.zst`, bytes: zstdCompressSync(tarOf(toMembers(content))) },
    { name: `info-${stem}.tar.zst`, bytes: zstdCompressSync(tarOf(toMembers(info))) },
  ]);
  return { ...built(`${stem}.conda`, bytes), subdir };
}

function condaContent({ name, version, files, sizeBytes }: CondaPackageSpec): Files {
  const content = files ?? { [`share/${name}/version.txt`]: `${version}\n` };
  return sizeBytes === undefined ? content : { ...content, [`share/${name}/filler.bin`]: fillerOf(name, sizeBytes) };
}

function condaInfo(spec: CondaPackageSpec, content: Files): Files {
  const { name, version, build = '0', subdir = 'noarch' } = spec;
  const index = {
    ...(subdir === 'noarch' ? { noarch: 'generic' } : platformOf(subdir)),
    build,
    build_number: Number(/\d+$/.exec(build)?.[0] ?? 0),
    depends: spec.depends ?? [],
    license: 'Apache-2.0',
    name,
    subdir,
    timestamp: 1_700_000_000_000,
    version,
    ...spec.indexOverrides,
  };
  const paths = Object.entries(content).map(([path, bytes]) => ({
    _path: path,
    path_type: 'hardlink',
    sha256: digest('sha256', Buffer.from(bytes)),
    size_in_bytes: Buffer.byteLength(bytes),
  }));
  const about = { summary: `${name}, made for a test`, license: 'Apache-2.0', ...spec.about };
  const members: Record<string, string | Uint8Array | undefined> = {
    'info/index.json': JSON.stringify(index, null, 2),
    'info/paths.json': JSON.stringify({ paths, paths_version: 1 }, null, 2),
    'info/files': `${Object.keys(content).join('\n')}\n`,
    'info/about.json': JSON.stringify(about, null, 2),
    'info/run_exports.json': spec.runExports && JSON.stringify(spec.runExports, null, 2),
  };
  for (const [path, bytes] of Object.entries(spec.info ?? {})) members[`info/${path}`] = bytes;
  return present(members);
}

export interface WheelSpec {
  readonly name: string;
  readonly version: string;
  readonly requiresPython?: string;
  readonly requiresDist?: readonly string[];
  /** `py3-none-any` unless said otherwise. */
  readonly tag?: string;
  /** Header fields of METADATA: another value, several values, or `undefined` to leave one out. */
  readonly metadataOverrides?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The text after the header fields. */
  readonly description?: string;
  /** Modules and data; one module of the package's name unless said otherwise. */
  readonly files?: Files;
  /** Bytes that no compression shrinks, added as data of the module. */
  readonly sizeBytes?: number;
}

/**
 * A wheel with a right RECORD that pip and uv install. The same arguments give the same bytes.
 * Source: PyPA, "Binary distribution format" 1.0 and "Core metadata" 2.1.
 */
export function aWheel(spec: WheelSpec): BuiltFile {
  const { version, tag = 'py3-none-any' } = spec;
  const module = moduleOf(spec.name);
  const info = `${module}-${version}.dist-info`;
  const filler = spec.sizeBytes === undefined ? {} : { [`${module}/filler.bin`]: fillerOf(spec.name, spec.sizeBytes) };
  const files: Files = {
    ...(spec.files ?? { [`${module}/__init__.py`]: `__version__ = "${version}"\n` }),
    ...filler,
    [`${info}/METADATA`]: metadataOf(spec),
    [`${info}/WHEEL`]: `Wheel-Version: 1.0\nGenerator: vivarium\nRoot-Is-Purelib: true\nTag: ${tag}\n`,
  };
  const record = Object.entries(files).map(([path, text]) => {
    const bytes = Buffer.from(text);
    return `${path},sha256=${createHash('sha256').update(bytes).digest('base64url')},${bytes.length}\n`;
  });
  const all: Files = { ...files, [`${info}/RECORD`]: `${record.join('')}${info}/RECORD,,\n` };
  const members = Object.entries(all).map(([name, bytes]) => ({ name, bytes, method: 'deflated' }) as const);
  return built(`${module}-${version}-${tag}.whl`, zipOf(members));
}

export type SdistSpec = Pick<
  WheelSpec,
  'name' | 'version' | 'requiresPython' | 'requiresDist' | 'metadataOverrides' | 'description'
>;

/**
 * A source distribution that pip and uv build and install without fetching anything: its build backend lies in it.
 * The same arguments give the same bytes. Source: PyPA, "Source distribution format".
 */
export function anSdist(spec: SdistSpec): BuiltFile {
  const { name, version } = spec;
  const root = `${moduleOf(name)}-${version}`;
  const wheel = aWheel(spec);
  const files: Files = {
    'PKG-INFO': metadataOf({ ...spec, metadataOverrides: { 'Metadata-Version': '2.2', ...spec.metadataOverrides } }),
    'pyproject.toml': [
      '[build-system]',
      'requires = []',
      'build-backend = "backend"',
      'backend-path = ["."]',
      '',
      '[project]',
      `name = "${name}"`,
      `version = "${version}"`,
      '',
    ].join('\n'),
    'backend.py': [
      'import base64, pathlib',
      '',
      '',
      'def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):',
      `    wheel = base64.b64decode("${wheel.bytes.toString('base64')}")`,
      `    pathlib.Path(wheel_directory, "${wheel.filename}").write_bytes(wheel)`,
      `    return "${wheel.filename}"`,
      '',
    ].join('\n'),
  };
  const members = Object.entries(files).map(([path, bytes]) => ({ path: `${root}/${path}`, bytes }));
  return built(`${root}.tar.gz`, gzipSync(tarOf(members)));
}

/** True if this machine can make a `.tar.bz2`. */
export function canBzip2(): boolean {
  return bzip2Command() !== undefined;
}

function metadataOf(spec: WheelSpec): string {
  const fields: Record<string, string | readonly string[] | undefined> = {
    'Metadata-Version': '2.1',
    Name: spec.name,
    Version: spec.version,
    Summary: `${spec.name}, made for a test`,
    'Requires-Python': spec.requiresPython,
    'Requires-Dist': spec.requiresDist,
    ...spec.metadataOverrides,
  };
  const lines = Object.entries(fields).flatMap(([field, value]) => {
    const values = value === undefined ? [] : typeof value === 'string' ? [value] : value;
    return values.map((one) => `${field}: ${one}\n`);
  });
  return `${lines.join('')}${spec.description === undefined ? '' : `\n${spec.description}\n`}`;
}

function moduleOf(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, '_');
}

function platformOf(subdir: string) {
  const [platform, arch] = subdir.split('-');
  return { arch: arch === '64' ? 'x86_64' : arch, platform };
}

/** Random to a compressor, but the same every time. */
function fillerOf(seed: string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

function bzip2(bytes: Buffer): Buffer {
  const [command, ...parameters] = bzip2Command() ?? [];
  if (command === undefined) throw new Error('A .tar.bz2 needs bzip2 or python3: install one.');
  const { status, stdout, stderr } = spawnSync(command, parameters, { input: bytes, maxBuffer: 2 ** 31 - 1 });
  if (status !== 0) throw new Error(`${command} failed: ${stderr.toString()}`);
  return stdout;
}

function bzip2Command(): readonly string[] | undefined {
  const program = findProgram('bzip2');
  if (program !== undefined) return [program, '-c'];
  const python = findProgram('python3');
  const script = 'import bz2, sys; sys.stdout.buffer.write(bz2.compress(sys.stdin.buffer.read()))';
  return python === undefined ? undefined : [python, '-c', script];
}

function present(members: Readonly<Record<string, string | Uint8Array | undefined>>): Files {
  const files: Record<string, string | Uint8Array> = {};
  for (const [path, bytes] of Object.entries(members)) if (bytes !== undefined) files[path] = bytes;
  return files;
}

function built(filename: string, bytes: Buffer): BuiltFile {
  return { filename, bytes, sha256: digest('sha256', bytes), md5: digest('md5', bytes) };
}

function digest(algorithm: 'sha256' | 'md5', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}
