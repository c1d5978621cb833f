export interface PoisonEntry {
  readonly path: string;
  readonly bytes?: Uint8Array | string;
  /** The character of the type: `0` file, `1` hard link, `2` symbolic link, `5` directory, and what nobody should use. */
  readonly type?: string;
  readonly target?: string;
  /** Instead of the number of bytes. */
  readonly sizeBytes?: number;
  readonly magic?: string;
  readonly prefix?: string;
  readonly checksum?: number;
}

/** A tar archive of exactly these entries with its end mark, whatever they say. Source: POSIX.1-2017, pax. */
export function poisonTar(entries: readonly PoisonEntry[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), Buffer.alloc(1024)]);
}

/** The header and the padded bytes of one entry. */
export function tarEntry(entry: PoisonEntry): Buffer {
  const bytes = Buffer.from(entry.bytes ?? '');
  const header = Buffer.alloc(512);
  header.write(entry.path, 0, 100);
  header.write('0000644\u00000000000\u00000000000\0', 100);
  header.write(`${(entry.sizeBytes ?? bytes.length).toString(8).padStart(11, '0')}\0`, 124);
  header.write('07346545000\0        ', 136);
  header.write(entry.type ?? '0', 156);
  header.write(entry.target ?? '', 157, 100);
  header.write(entry.magic ?? 'ustar\u000000', 257);
  header.write(entry.prefix ?? '', 345, 155);
  const sum = entry.checksum ?? header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** A pax header that says these things of the next entry, or with `g` of all that follow. */
export function paxEntry(fields: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): PoisonEntry {
  return { path: 'PaxHeader', type, bytes: Object.entries(fields).map(recordOf).join('') };
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function recordOf([key, value]: readonly [string, string]): string {
  const rest = ` ${key}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes + 1;
  while (length !== restBytes + String(length).length) length += 1;
  return `${length}${rest}`;
}
