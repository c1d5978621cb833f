// A strict reader of tar streams: ustar, with GNU long names and pax paths and sizes, as conda's builders write them.
//
// Wherever two tar readers are known to disagree (global pax headers, sparse files, links with bodies, a name prefix in a
// GNU header, entries after the end mark), the stream is refused, so that what we judge is what every client unpacks.
import { Fault } from '@vivarium/fault/fault';
import { Places } from './places.js';

export interface TarEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'link' | 'symlink';
  readonly sizeBytes: number;
  /** What a link points to, as written. */
  readonly target: string;
}

/** Decides about an entry: a receiver gets the file's whole bytes; without one they are skipped. */
export type TarVisitor = (entry: TarEntry) => ((bytes: Uint8Array) => void) | undefined;

const BLOCK = 512;
const MAX_EXTENSION_BYTES = 64 * 1024;
const MAX_NAME_CHARACTERS = 1024;
// All names are remembered, to find one that comes twice.
const MAX_NAMES_CHARACTERS = 64 * 1024 ** 2;
const latin = new TextDecoder('latin1');
// A mark of byte order is a part of a name like any other character.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

interface Pending {
  readonly name?: string;
  readonly target?: string;
  readonly sizeBytes?: number;
}

interface Header {
  readonly name: string;
  readonly target: string;
  readonly sizeBytes: number;
  readonly type: string;
}

/**
 * Reads a tar from chunks that are pushed into it, holding one header and the files that the visitor asked for. Entries are
 * checked before the visitor sees them: relative names without `.`, `..`, empty segments or controls; only files,
 * directories and links; no name twice and none below a link; links that stay inside; at most `members` entries.
 * `write` and `end` throw Fault('invalid'). Source: POSIX pax (ustar interchange format), GNU tar manual.
 */
export class TarReader {
  readonly #visit: TarVisitor;
  readonly #places: Places;
  readonly #block = new Uint8Array(BLOCK);
  #nameCharacters = 0;
  #filled = 0;
  #skip = 0;
  #body: { readonly bytes: Uint8Array; filled: number; readonly done: (bytes: Uint8Array) => void } | undefined;
  #pending: Pending = {};
  #zeroBlocks = 0;

  constructor(maxMembers: number, visit: TarVisitor) {
    this.#places = new Places(maxMembers);
    this.#visit = visit;
  }

  /** How many entries were read. */
  get members(): number {
    return this.#places.members;
  }

  /** Takes the next bytes; keeps none of them. */
  write(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body !== undefined) at += this.#takeBody(chunk.subarray(at));
      else if (this.#skip > 0) {
        const taken = Math.min(this.#skip, chunk.length - at);
        this.#skip -= taken;
        at += taken;
      } else at += this.#takeBlock(chunk.subarray(at));
    }
  }

  /** Says that no bytes follow. */
  end(): void {
    const open = this.#filled > 0 || this.#skip > 0 || this.#body !== undefined;
    if (open || this.#zeroBlocks < 2) throw bad('it is cut short');
    if (Object.keys(this.#pending).length > 0) throw bad('it ends with an extended header that belongs to no entry');
    this.#places.end();
  }

  #takeBody(chunk: Uint8Array): number {
    const body = this.#body;
    if (body === undefined) return 0;
    const taken = Math.min(body.bytes.length - body.filled, chunk.length);
    body.bytes.set(chunk.subarray(0, taken), body.filled);
    body.filled += taken;
    if (body.filled === body.bytes.length) {
      this.#body = undefined;
      body.done(body.bytes);
    }
    return taken;
  }

  #takeBlock(chunk: Uint8Array): number {
    const taken = Math.min(BLOCK - this.#filled, chunk.length);
    this.#block.set(chunk.subarray(0, taken), this.#filled);
    this.#filled += taken;
    if (this.#filled === BLOCK) {
      this.#filled = 0;
      this.#takeHeader(this.#block);
    }
    return taken;
  }

  #takeHeader(block: Uint8Array): void {
    if (block.every((byte) => byte === 0)) {
      this.#zeroBlocks++;
      return;
    }
    if (this.#zeroBlocks > 0) throw bad('something follows its end mark');
    const header = parseHeader(block);
    switch (header.type) {
      case 'L':
        this.#collect(header.sizeBytes, (bytes) => this.#addPending({ name: textOf(bytes) }));
        return;
      case 'K':
        this.#collect(header.sizeBytes, (bytes) => this.#addPending({ target: textOf(bytes) }));
        return;
      case 'x':
        this.#collect(header.sizeBytes, (bytes) => this.#addPending(parsePax(bytes)));
        return;
      default:
        this.#enter(header);
    }
  }

  #addPending(more: Pending): void {
    for (const key of Object.keys(more)) {
      if (key in this.#pending) throw bad('an entry has two extended headers of the same kind');
    }
    this.#pending = { ...this.#pending, ...more };
  }

  #enter(header: Header): void {
    const written = { ...header, ...this.#pending };
    this.#pending = {};
    const kind = kindOf(written.type, written.name);
    const sizeBytes = written.sizeBytes;
    // Readers go by one or by the other, and see other entries in what follows.
    if (sizeBytes !== header.sizeBytes) throw bad(`the two headers of ${shown(written.name)} give two sizes`);
    if (kind !== 'file' && sizeBytes !== 0) throw bad(`${shown(written.name)} is no file and has contents`);
    const name = kind === 'directory' ? written.name.replace(/\/$/, '') : written.name;
    checkName(name);
    if (kind === 'link') checkName(written.target);
    if (kind === 'symlink') checkSymlink(name, written.target);
    this.#places.add(name, kind, written.target);
    this.#nameCharacters += name.length;
    if (this.#nameCharacters > MAX_NAMES_CHARACTERS) throw bad('its names are too long together');
    const receive = this.#visit({ name, kind, sizeBytes, target: written.target });
    if (receive === undefined) this.#skip = padded(sizeBytes);
    else this.#keep(sizeBytes, receive);
  }

  #collect(sizeBytes: number, done: (bytes: Uint8Array) => void): void {
    if (sizeBytes === 0 || sizeBytes > MAX_EXTENSION_BYTES) throw bad('an extended header has an impossible size');
    this.#keep(sizeBytes, done);
  }

  #keep(sizeBytes: number, done: (bytes: Uint8Array) => void): void {
    if (sizeBytes === 0) {
      done(new Uint8Array(0));
      return;
    }
    this.#skip = padded(sizeBytes) - sizeBytes;
    this.#body = { bytes: new Uint8Array(sizeBytes), filled: 0, done };
  }
}

function parseHeader(block: Uint8Array): Header {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0 : (block[i] ?? 0);
  if (numberOf(block, 148, 156) !== sum) throw bad('the checksum of a header is wrong');
  const magic = latin.decode(block.subarray(257, 265));
  const isPosix = magic === 'ustar\u000000';
  if (!isPosix && magic !== 'ustar  \0') throw bad('a header is neither ustar nor GNU');
  const prefix = textOf(block.subarray(345, 500));
  if (!isPosix && prefix !== '') throw bad('a GNU header has a name prefix');
  const name = textOf(block.subarray(0, 100));
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    target: textOf(block.subarray(157, 257)),
    sizeBytes: numberOf(block, 124, 136),
    type: String.fromCharCode(block[156] ?? 0),
  };
}

function kindOf(type: string, name: string): TarEntry['kind'] {
  switch (type) {
    case '0':
    case '\0':
      if (name.endsWith('/')) throw bad(`${shown(name)} is a file named like a directory`);
      return 'file';
    case '1':
      return 'link';
    case '2':
      return 'symlink';
    case '5':
      return 'directory';
    default:
      throw bad(`${shown(name)} is neither a file, a directory nor a link (tar type ${JSON.stringify(type)})`);
  }
}

function checkName(name: string): void {
  if (name.length > MAX_NAME_CHARACTERS) throw bad(`the name ${shown(name)} is longer than ${MAX_NAME_CHARACTERS}`);
  // Backslashes separate on Windows only; they may stand in names but must not climb either.
  const segments = name.split(/[\\/]/);
  const climbs = segments.includes('..') || segments[0] === '' || /^[a-z]:/i.test(name);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  if (climbs || /[\u0000-\u001f\u007f]/.test(name))
    throw bad(`the name ${shown(name)} is absolute or leaves the package`);
  if (name.split('/').some((segment) => segment === '' || segment === '.')) {
    throw bad(`the name ${shown(name)} has an empty or "." segment; clients look names up as written`);
  }
}

// A link that leaves the package would let a later entry be written through it to anywhere.
function checkSymlink(name: string, target: string): void {
  let depth = name.split('/').length - 1;
  const leaves = () => bad(`the link ${shown(name)} points out of the package, to ${shown(target)}`);
  // An empty target leads nowhere: old converters wrote some.
  if (target.length > MAX_NAME_CHARACTERS || /^(?:[\\/]|[a-z]:)/i.test(target)) throw leaves();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(target))
    throw bad(`the link ${shown(name)} has a control character in ${shown(target)}`);
  for (const segment of target.split(/[\\/]/)) {
    if (segment === '..') depth--;
    else if (segment !== '.' && segment !== '') depth++;
    if (depth < 0) throw leaves();
  }
}

function parsePax(bytes: Uint8Array): Pending {
  const found: { name?: string; target?: string; sizeBytes?: number } = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 ? '' : latin.decode(bytes.subarray(at, space));
    const end = at + Number(digits);
    if (!/^[1-9]\d{0,5}$/.test(digits) || end > bytes.length || bytes[end - 1] !== 0x0a) {
      throw bad('an extended header is broken');
    }
    const record = utf8.decode(bytes.subarray(space + 1, end - 1));
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (equals < 1) throw bad('an extended header is broken');
    if (key.startsWith('GNU.sparse') || key === 'hdrcharset') throw bad(`it uses the extended header ${shown(key)}`);
    if (key === 'path') found.name = once(found.name, value);
    if (key === 'linkpath') found.target = once(found.target, value);
    if (key === 'size') found.sizeBytes = sizeOf(once(found.sizeBytes?.toString(), value));
    at = end;
  }
  return found;
}

function sizeOf(digits: string): number {
  if (!/^\d{1,15}$/.test(digits)) throw bad(`an extended header gives the size ${shown(digits)}`);
  return Number(digits);
}

function once(before: string | undefined, value: string): string {
  if (before !== undefined || value === '') throw bad('an extended header repeats or empties a field');
  return value;
}

// Octal digits between blanks, or (GNU, for sizes above 8 GiB) a number of base 256 marked by the first bit.
function numberOf(block: Uint8Array, start: number, end: number): number {
  if ((block[start] ?? 0) >= 0x80) {
    let value = (block[start] ?? 0) & 0x7f;
    for (let i = start + 1; i < end; i++) value = value * 256 + (block[i] ?? 0);
    if (!Number.isSafeInteger(value)) throw bad('a size is impossible');
    return value;
  }
  const digits = /^ *([0-7]*)[ \0]*$/.exec(latin.decode(block.subarray(start, end)))?.[1];
  if (digits === undefined) throw bad('a number in a header is broken');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return utf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK) * BLOCK;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 120));
}

function bad(reason: string): Fault {
  return new Fault('invalid', `The package's tar cannot be accepted: ${reason}. Build the package again.`);
}
