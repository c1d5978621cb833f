import { Fault } from '@vivarium/fault/fault';

/** A member of a tar archive, with its bytes if they were asked for. */
export interface TarMember {
  /** Without a leading `./`. */
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link' | 'symlink';
  readonly linkname: string;
  readonly sizeBytes: number;
  readonly bytes?: Uint8Array;
}

const BLOCK_BYTES = 512;
const MAX_LONG_NAME_BYTES = 64 * 1024;
const MAX_PAX_BYTES = 1024 * 1024;

/**
 * Reads the members of a tar archive in the order in which they stand, from chunks of any length. `maxBytesOf` says of
 * how many bytes a member's content is wanted: 0 for none.
 *
 * Only what every reader takes alike is read: ustar, pax and GNU long names; files, folders, links. Two sizes that
 * disagree, sparse files, devices, numbers in base 256, names by two means and anything behind the end are refused with
 * Fault('invalid'): each has let one tool see members that another does not.
 * Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 */
export async function* tarMembers(
  chunks: AsyncIterable<Uint8Array>,
  maxBytesOf: (member: TarMember) => number,
): AsyncGenerator<TarMember> {
  const input = new Input(chunks);
  let given: Given = {};
  for (;;) {
    const block = await input.take(BLOCK_BYTES);
    if (block.every((byte) => byte === 0)) break;
    const header = parseHeader(block);
    const name = header.name.replace(/^(?:\.\/)+/, '');
    switch (header.type) {
      case 'x':
      case 'g':
        given = withPax(given, parsePax(await content(input, header.sizeBytes, MAX_PAX_BYTES)), header.type);
        break;
      case 'L':
        given = withName(given, 'path', longName(await content(input, header.sizeBytes, MAX_LONG_NAME_BYTES)));
        break;
      case 'K':
        given = withName(given, 'linkpath', longName(await content(input, header.sizeBytes, MAX_LONG_NAME_BYTES)));
        break;
      default: {
        const member = memberOf(header, { ...given, path: (given.path ?? name).replace(/^(?:\.\/)+/, '') });
        given = {};
        const wantedBytes = maxBytesOf(member);
        if (wantedBytes > 0) yield { ...member, bytes: await content(input, member.sizeBytes, wantedBytes) };
        else {
          await input.skip(padded(member.sizeBytes));
          yield member;
        }
      }
    }
  }
  if (Object.keys(given).length > 0) throw refusal('ends with a header that belongs to no member');
  await input.requireZeros();
}

/** What extended headers say of the next member. */
interface Given {
  readonly path?: string;
  readonly linkpath?: string;
  readonly size?: string;
}

interface Header {
  readonly name: string;
  readonly type: string;
  readonly linkname: string;
  readonly sizeBytes: number;
}

const KIND_OF: Readonly<Record<string, TarMember['kind']>> = {
  '0': 'file',
  '\0': 'file',
  '1': 'link',
  '2': 'symlink',
  '5': 'folder',
};

function memberOf(header: Header, given: Given): TarMember {
  const name = given.path ?? header.name;
  const kind = KIND_OF[header.type];
  if (kind === undefined) throw refusal(`holds ${quoted(name)}, which is a device, a sparse file or of unknown type`);
  if (given.size !== undefined && given.size !== String(header.sizeBytes)) {
    throw refusal(`gives two sizes for ${quoted(name)}`);
  }
  if (kind !== 'file' && header.sizeBytes !== 0) throw refusal(`gives a size to ${quoted(name)}, which has no bytes`);
  if (kind === 'file' && name.endsWith('/'))
    throw refusal(`holds ${quoted(name)}, which is a folder by name and a file by type`);
  return { name, kind, linkname: given.linkpath ?? header.linkname, sizeBytes: header.sizeBytes };
}

function parseHeader(block: Uint8Array): Header {
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (octalOf(block.subarray(148, 156)) !== sum) throw refusal('has a header with a wrong checksum');
  const magic = Buffer.from(block.subarray(257, 265)).toString('latin1');
  const posix = magic === 'ustar\x0000';
  if (!posix && magic !== 'ustar  \0') throw refusal('is of an unknown tar format');
  const prefix = textOf(block.subarray(345, 500));
  // GNU tar keeps times in this place; some readers take them for the beginning of the name.
  if (!posix && block.subarray(345, 500).some((byte) => byte !== 0))
    throw refusal('has a header of an incremental backup');
  const name = textOf(block.subarray(0, 100));
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: String.fromCharCode(block[156] ?? 0),
    linkname: textOf(block.subarray(157, 257)),
    sizeBytes: octalOf(block.subarray(124, 136)),
  };
}

function octalOf(field: Uint8Array): number {
  const digits = /^ *([0-7]{1,12})[ \0]*$/.exec(Buffer.from(field).toString('latin1'))?.[1];
  if (digits === undefined) throw refusal('has a number in its headers that is not octal');
  return Number.parseInt(digits, 8);
}

function textOf(field: Uint8Array): string {
  const end = field.indexOf(0);
  return decode(end < 0 ? field : field.subarray(0, end));
}

function longName(bytes: Uint8Array): string {
  const name = textOf(bytes);
  if (name === '') throw refusal('has an empty name');
  return name;
}

function parsePax(bytes: Uint8Array): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const head = Buffer.from(bytes.subarray(at, at + 8)).toString('latin1');
    const digits = /^([1-9][0-9]{0,6}) /.exec(head)?.[1];
    const end = at + Number(digits ?? 0);
    if (digits === undefined || end > bytes.length || bytes[end - 1] !== 0x0a)
      throw refusal('has a damaged pax header');
    const record = decode(bytes.subarray(at + digits.length + 1, end - 1));
    const equals = record.indexOf('=');
    const key = record.slice(0, equals);
    if (equals < 1 || records.has(key)) throw refusal('has a damaged pax header');
    records.set(key, record.slice(equals + 1));
    at = end;
  }
  return records;
}

function withPax(given: Given, records: ReadonlyMap<string, string>, type: 'x' | 'g'): Given {
  let next = given;
  for (const [key, value] of records) {
    if (key.startsWith('GNU.sparse.') || key === 'hdrcharset') throw refusal(`has the pax field ${quoted(key)}`);
    if (key !== 'path' && key !== 'linkpath' && key !== 'size') continue;
    // Readers disagree on whether these hold for all members or for the next.
    if (type === 'g') throw refusal(`has a global pax field ${quoted(key)}`);
    next = withName(next, key, value);
  }
  return next;
}

function withName(given: Given, key: keyof Given, value: string): Given {
  if (given[key] !== undefined) throw refusal(`gives the ${key} of a member twice`);
  if (value === '' || value.includes('\0')) throw refusal(`gives a member a ${key} that is empty or holds a zero byte`);
  return { ...given, [key]: value };
}

async function content(input: Input, sizeBytes: number, maxBytes: number): Promise<Uint8Array> {
  if (sizeBytes > maxBytes) throw refusal(`has a part of ${sizeBytes} bytes where at most ${maxBytes} are read`);
  const bytes = await input.take(padded(sizeBytes));
  return bytes.subarray(0, sizeBytes);
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Chunks of any length, taken in the lengths that are needed. */
class Input {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.iterator = chunks[Symbol.asyncIterator]();
  }

  async take(sizeBytes: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let missing = sizeBytes;
    while (missing > 0) {
      const part = await this.some(missing);
      if (part === undefined) throw refusal('is cut short');
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  async skip(sizeBytes: number): Promise<void> {
    let missing = sizeBytes;
    while (missing > 0) {
      const part = await this.some(missing);
      if (part === undefined) throw refusal('is cut short');
      missing -= part.length;
    }
  }

  /** Reads to the end, so that what stands behind the members is seen and the checksum around them is verified. */
  async requireZeros(): Promise<void> {
    for (;;) {
      const part = await this.some(Number.MAX_SAFE_INTEGER);
      if (part === undefined) return;
      if (part.some((byte) => byte !== 0)) throw refusal('has bytes behind its end');
    }
  }

  /** At most so many bytes, at least one; undefined at the end. */
  private async some(maxBytes: number): Promise<Uint8Array | undefined> {
    while (this.rest.length === 0) {
      const { done, value } = await this.iterator.next();
      if (done === true) return undefined;
      this.rest = value;
    }
    const part = this.rest.subarray(0, maxBytes);
    this.rest = this.rest.subarray(part.length);
    return part;
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Fault(
      'invalid',
      'The tar archive is refused: it holds a name that is not UTF-8. Rename it and build again.',
      { cause },
    );
  }
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

function refusal(reason: string): Fault {
  return new Fault('invalid', `The tar archive is refused: it ${reason}. Build it again with a current tool.`);
}
