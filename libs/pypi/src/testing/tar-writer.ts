export interface TarMemberToWrite {
  readonly name: string;
  readonly bytes?: Uint8Array | string;
  /** One character; `0` file, `1` hard link, `2` symbolic link, `5` folder. */
  readonly type?: string;
  readonly linkname?: string;
  /** In place of the size of the bytes. */
  readonly sizeField?: string;
  readonly magic?: string;
  readonly checksum?: number;
}

/** Writes an uncompressed tar archive in the ustar format, with its two blocks of zeros. */
export function tarOf(members: readonly TarMemberToWrite[]): Buffer {
  return Buffer.concat([...members.map(tarMember), Buffer.alloc(1024)]);
}

/** The header block and the padded bytes of one member. */
export function tarMember(member: TarMemberToWrite): Buffer {
  const bytes = Buffer.from(member.bytes ?? '');
  const header = Buffer.alloc(512);
  header.write(member.name, 0, 100);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(member.sizeField ?? `${bytes.length.toString(8).padStart(11, '0')}\0`, 124, 12, 'latin1');
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(member.type ?? (member.name.endsWith('/') ? '5' : '0'), 156);
  header.write(member.linkname ?? '', 157, 100);
  header.write(member.magic ?? 'ustar\x0000', 257);
  const sum = member.checksum ?? header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** A pax header that gives the next member, or with `g` all following ones, these records. */
export function paxMember(records: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): TarMemberToWrite {
  return { name: 'pax', type, bytes: Object.entries(records).map(paxRecord).join('') };
}

function paxRecord([key, value]: [string, string]): string {
  const rest = ` ${key}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes + 1;
  while (String(length).length + restBytes !== length) length += 1;
  return `${length}${rest}`;
}
