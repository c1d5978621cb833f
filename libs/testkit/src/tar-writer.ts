export interface TarMember {
  readonly path: string;
  /** Of a file; empty unless said otherwise. */
  readonly bytes?: Uint8Array | string;
  /** `file` unless said otherwise. `fifo` and `device` are for archives that must be refused. */
  readonly type?: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'device';
  /** Where a link points. */
  readonly target?: string;
  readonly mode?: number;
}

const TYPE_FLAGS = { file: '0', hardlink: '1', symlink: '2', device: '3', directory: '5', fifo: '6' } as const;
const BLOCK_BYTES = 512;

/**
 * A tar archive of exactly these members in this order, also if they repeat or have paths that no archive should have.
 * The same members give the same bytes. Paths longer than 100 bytes go into pax headers.
 * Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
 */
export function tarOf(members: readonly TarMember[]): Buffer {
  const blocks: Buffer[] = [];
  for (const member of members) {
    const bytes = Buffer.from(member.bytes ?? '');
    const long = [longRecord('path', member.path), longRecord('linkpath', member.target ?? '')].join('');
    if (long !== '') {
      const record = Buffer.from(long);
      blocks.push(headerOf('PaxHeader', 'x', record.length, 0o644, ''), padded(record));
    }
    const type = member.type ?? 'file';
    const mode = member.mode ?? (type === 'directory' ? 0o755 : 0o644);
    blocks.push(headerOf(member.path, TYPE_FLAGS[type], bytes.length, mode, member.target ?? ''), padded(bytes));
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function headerOf(path: string, flag: string, sizeBytes: number, mode: number, target: string): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  Buffer.from(path).copy(header, 0, 0, 100);
  header.write(octal(mode, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(sizeBytes, 11), 124);
  // 2001-09-09, the same for all: the bytes must not depend on when they were made.
  header.write(octal(1_000_000_000, 11), 136);
  header.write('        ', 148);
  header.write(flag, 156);
  Buffer.from(target).copy(header, 157, 0, 100);
  header.write('ustar\0', 257);
  header.write('00', 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148);
  return header;
}

/** `<length> path=<value>\n`, where the length counts itself. */
function longRecord(key: string, value: string): string {
  if (Buffer.byteLength(value) <= 100) return '';
  const rest = ` ${key}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes + 1;
  while (length !== restBytes + String(length).length) length = restBytes + String(length).length;
  return `${length}${rest}`;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % BLOCK_BYTES;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(BLOCK_BYTES - rest)]);
}
