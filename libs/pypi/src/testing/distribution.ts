import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type TarMemberToWrite, tarOf } from './tar-writer.js';
import { type ZipMemberToWrite, zipOf } from './zip-writer.js';

export interface WheelToWrite {
  readonly name?: string;
  readonly version?: string;
  /** In place of METADATA as it would be; `null` leaves it out. */
  readonly metadata?: string | null;
  readonly wheel?: string | null;
  readonly record?: string | null;
  readonly distInfo?: string;
  /** Members beside the dist-info folder, listed in RECORD. */
  readonly members?: readonly ZipMemberToWrite[];
  /** Members that RECORD does not list. */
  readonly unlisted?: readonly ZipMemberToWrite[];
  /** Lines of RECORD beside the members'. */
  readonly extraRecord?: string;
}

/** METADATA or PKG-INFO of a small package. */
export function metadataText(name = 'foo', version = '1.0', more = ''): string {
  return `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\nSummary: made by a test\nRequires-Python: >=3.8\n${more}\nThe description.\n`;
}

/** A wheel, honest unless told otherwise. */
export function wheelBytes(wheel: WheelToWrite = {}): Buffer {
  const { name = 'foo', version = '1.0' } = wheel;
  const distInfo = wheel.distInfo ?? `${name}-${version}.dist-info`;
  const own: ZipMemberToWrite[] = [];
  const metadata = wheel.metadata === undefined ? metadataText(name, version) : wheel.metadata;
  if (metadata !== null) own.push({ name: `${distInfo}/METADATA`, bytes: metadata });
  const text = wheel.wheel === undefined ? 'Wheel-Version: 1.0\nGenerator: test\nTag: py3-none-any\n' : wheel.wheel;
  if (text !== null) own.push({ name: `${distInfo}/WHEEL`, bytes: text });
  const listed = [...(wheel.members ?? [{ name: `${name}/__init__.py`, bytes: 'x = 1\n' }]), ...own];
  const lines = listed.filter((member) => !member.name.endsWith('/')).map((member) => recordLine(member));
  const record =
    wheel.record === undefined ? `${lines.join('\n')}\n${distInfo}/RECORD,,\n${wheel.extraRecord ?? ''}` : wheel.record;
  if (record !== null) listed.push({ name: `${distInfo}/RECORD`, bytes: record });
  return zipOf([...listed, ...(wheel.unlisted ?? [])]);
}

/** The line of RECORD for a member. */
export function recordLine({ name, bytes = '' }: ZipMemberToWrite, algorithm = 'sha256'): string {
  const digest = createHash(algorithm).update(bytes).digest('base64url');
  const path = /[",]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
  return `${path},${algorithm}=${digest},${Buffer.from(bytes).length}`;
}

export interface SdistToWrite {
  readonly name?: string;
  readonly version?: string;
  readonly folder?: string;
  readonly pkgInfo?: string | null;
  readonly members?: readonly TarMemberToWrite[];
}

/** A source distribution as .tar.gz. */
export function sdistBytes(sdist: SdistToWrite = {}): Buffer {
  return gzipSync(tarOf(sdistMembers(sdist)));
}

/** The members of a source distribution, for a tar or a zip archive. */
export function sdistMembers(sdist: SdistToWrite = {}): readonly TarMemberToWrite[] {
  const { name = 'foo', version = '1.0' } = sdist;
  const folder = sdist.folder ?? `${name}-${version}`;
  const pkgInfo = sdist.pkgInfo === undefined ? metadataText(name, version) : sdist.pkgInfo;
  return [
    ...(pkgInfo === null ? [] : [{ name: `${folder}/PKG-INFO`, bytes: pkgInfo }]),
    { name: `${folder}/pyproject.toml`, bytes: '[build-system]\n' },
    ...(sdist.members ?? []),
  ];
}
