import { posix } from 'node:path';
import { Fault } from '@vivarium/fault/fault';
import { refuseBomb } from './bomb.js';
import type { ByteSource } from './byte-source.js';
import { parseSdistFilename, type SdistFilename } from './filename.js';
import { gunzip } from './gunzip.js';
import { MemberPaths, requireMemberPath } from './member-path.js';
import { type CoreMetadata, MAX_METADATA_BYTES, parseMetadata } from './metadata.js';
import { type TarMember, tarMembers } from './tar.js';
import { DEFAULT_INSPECT_LIMITS, type InspectLimits } from './wheel.js';
import { openZip } from './zip.js';

/** What a source distribution says of itself. `metadataBytes` are exactly those of PKG-INFO. */
export interface SdistInspection {
  readonly filetype: 'sdist';
  readonly filename: string;
  readonly sdist: SdistFilename;
  readonly metadata: CoreMetadata;
  readonly metadataBytes: Uint8Array;
}

/**
 * Opens a source distribution, .tar.gz or the .zip of old tools: one top folder with PKG-INFO, and no member that could
 * write outside of it. A .tar.gz is read to its end. Throws Fault('invalid') with what is wrong. Whether PKG-INFO fits
 * the file name is judged elsewhere.
 * Source: Source distribution format (PEP 517, 625, 643, 721).
 */
export async function inspectSdist(
  source: ByteSource,
  filename: string,
  limits: InspectLimits = DEFAULT_INSPECT_LIMITS,
): Promise<SdistInspection> {
  const sdist = parseSdistFilename(filename);
  const metadataBytes = filename.endsWith('.zip')
    ? await pkgInfoOfZip(source, limits)
    : await pkgInfoOfTar(source, limits);
  return { filetype: 'sdist', filename, sdist, metadata: parseMetadata(metadataBytes), metadataBytes };
}

async function pkgInfoOfZip(source: ByteSource, limits: InspectLimits): Promise<Uint8Array> {
  const archive = await openZip(source, limits);
  const top = new TopFolder();
  for (const { name } of archive.entries) top.admit(name);
  const entry = archive.find(top.pkgInfo());
  if (entry?.kind !== 'file') throw noPkgInfo(top.pkgInfo());
  const bytes = await archive.entryBytes(entry, MAX_METADATA_BYTES);
  if (archive.unpackedBytes <= limits.recordHashBytes) {
    for (const each of archive.entries) await archive.entryDigest(each, 'sha256');
  }
  return bytes;
}

async function pkgInfoOfTar(source: ByteSource, limits: InspectLimits): Promise<Uint8Array> {
  if (await isAlsoZip(source))
    throw new Fault('invalid', 'The .tar.gz archive can be read as a zip archive too. Build it again.');
  const top = new TopFolder();
  const paths = new TarPaths();
  let unpackedBytes = 0;
  let members = 0;
  let pkgInfo: Uint8Array | undefined;
  const chunks = gunzip(source, (chunkBytes) => {
    unpackedBytes += chunkBytes;
    refuseBomb(unpackedBytes, source.sizeBytes, limits);
  });
  for await (const member of tarMembers(chunks, ({ name }) =>
    /^[^/]+\/PKG-INFO$/.test(name) ? MAX_METADATA_BYTES : 0,
  )) {
    members += 1;
    if (members > limits.members) throw new Fault('invalid', `The archive has more than ${limits.members} members.`);
    // `tar -C folder .` writes the folder itself first.
    if (member.kind === 'folder' && (member.name === '' || member.name === '.')) continue;
    requireMemberPath(member.name);
    top.admit(member.kind === 'folder' ? `${member.name.replace(/\/$/, '')}/` : member.name);
    paths.admit(member, top.name());
    if (member.name === top.pkgInfo() && member.kind === 'file') pkgInfo = member.bytes ?? new Uint8Array(0);
  }
  paths.requireNoDetour();
  if (pkgInfo === undefined) throw noPkgInfo(members === 0 ? 'PKG-INFO' : top.pkgInfo());
  return pkgInfo;
}

/** The one folder that all members must lie in. */
class TopFolder {
  private folder: string | undefined;

  admit(path: string): void {
    const slash = path.indexOf('/');
    if (slash < 1)
      throw new Fault(
        'invalid',
        `The archive has the file ${quoted(path)} beside its top folder; put all into {name}-{version}/.`,
      );
    const folder = path.slice(0, slash);
    if (this.folder !== undefined && this.folder !== folder) {
      throw new Fault(
        'invalid',
        `The archive has two top folders, ${quoted(this.folder)} and ${quoted(folder)}; put all into {name}-{version}/.`,
      );
    }
    this.folder = folder;
  }

  name(): string {
    return this.folder ?? '';
  }

  pkgInfo(): string {
    return this.folder === undefined ? 'PKG-INFO' : `${this.folder}/PKG-INFO`;
  }
}

/** Members of a tar archive, whose links may lead to places in the top folder only. */
class TarPaths {
  private readonly paths = new MemberPaths();
  private readonly files = new Set<string>();
  private readonly symlinks = new Map<string, TarMember>();

  admit(member: TarMember, top: string): void {
    switch (member.kind) {
      case 'folder':
        this.paths.addFolder(member.name);
        return;
      case 'file':
        this.paths.addFile(member.name);
        this.files.add(member.name);
        return;
      case 'link':
        // A hard link to a symbolic link would be a way out, so only files count.
        if (!this.files.has(member.linkname.replace(/^(?:\.\/)+/, ''))) throw leaves(member);
        this.paths.addFile(member.name);
        return;
      case 'symlink':
        if (!staysInside(member, top)) throw leaves(member);
        // As a file: nothing may be written through it.
        this.paths.addFile(member.name);
        this.symlinks.set(member.name, member);
        return;
      default:
        member.kind satisfies never;
    }
  }

  /** For when all members are known: behind a link, ".." leads elsewhere than the text of the path says. */
  requireNoDetour(): void {
    for (const member of this.symlinks.values()) if (this.detours(member)) throw leaves(member);
  }

  private detours({ name, linkname }: TarMember): boolean {
    const at = name.split('/').slice(0, -1);
    let throughLink = false;
    for (const segment of linkname.split('/')) {
      if (segment === '..') {
        if (throughLink) return true;
        at.pop();
      } else if (segment !== '.' && segment !== '') {
        at.push(segment);
        throughLink ||= this.symlinks.has(at.join('/'));
      }
    }
    return false;
  }
}

function staysInside({ name, linkname }: TarMember, top: string): boolean {
  if (linkname === '' || linkname.startsWith('/') || /[\\:]/.test(linkname)) return false;
  const target = posix.join(posix.dirname(name), linkname);
  return target === top || target.startsWith(`${top}/`);
}

/** A zip reader looks for its records from behind, so a gzip file may hide one in its last bytes. */
async function isAlsoZip(source: ByteSource): Promise<boolean> {
  const start = Math.max(0, source.sizeBytes - 22 - 0xffff);
  const tail = Buffer.from(await source.read(start, source.sizeBytes));
  for (let at = tail.indexOf('PK\x05\x06'); at >= 0; at = tail.indexOf('PK\x05\x06', at + 1)) {
    if (at + 22 <= tail.length && at + 22 + tail.readUInt16LE(at + 20) === tail.length) return true;
  }
  return false;
}

function noPkgInfo(path: string): Fault {
  return new Fault('invalid', `The source distribution has no ${quoted(path)}. Build it with a current tool.`);
}

function leaves({ name, linkname }: TarMember): Fault {
  return new Fault(
    'invalid',
    `The link ${quoted(name)} to ${quoted(linkname)} leads outside of the archive's files. Remove it.`,
  );
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
