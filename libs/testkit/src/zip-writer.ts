import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipMember {
  readonly name: string;
  readonly bytes: Uint8Array | string;
  /** `stored` unless said otherwise. */
  readonly method?: 'stored' | 'deflated';
  /** Unix permissions and type, as in `st_mode`; a regular file 0644 unless said otherwise. */
  readonly mode?: number;
  /** To lie with: what the local header says instead of the truth. */
  readonly localName?: string;
  /** To lie with: what both headers say. */
  readonly crc32?: number;
  /** To lie with: the unpacked size that both headers say. */
  readonly sizeBytes?: number;
}

/**
 * A ZIP archive of exactly these members in this order, also if they repeat or have names that no archive should have.
 * The same members give the same bytes. Below 4 GB and 65,535 members: no ZIP64.
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16.
 */
export function zipOf(members: readonly ZipMember[], comment = ''): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const member of members) {
    const bytes = Buffer.from(member.bytes);
    const deflated = member.method === 'deflated';
    const body = deflated ? deflateRawSync(bytes) : bytes;
    const facts = Buffer.alloc(22);
    // Bit 11: names are UTF-8.
    facts.writeUInt16LE(0x0800, 0);
    facts.writeUInt16LE(deflated ? 8 : 0, 2);
    // 1980-01-01, the first day that a ZIP knows.
    facts.writeUInt16LE(0, 4);
    facts.writeUInt16LE(0x0021, 6);
    facts.writeUInt32LE(member.crc32 ?? crc32(bytes), 8);
    facts.writeUInt32LE(body.length, 12);
    facts.writeUInt32LE(member.sizeBytes ?? bytes.length, 16);

    const localName = Buffer.from(member.localName ?? member.name);
    const local = header(0x04034b50, 6);
    local.writeUInt16LE(20, 4);
    facts.writeUInt16LE(localName.length, 20);
    parts.push(Buffer.concat([local, facts]), Buffer.alloc(2), localName, body);

    const name = Buffer.from(member.name);
    const central = header(0x02014b50, 8);
    // Made by Unix, so that the permissions count.
    central.writeUInt16LE(0x0314, 4);
    central.writeUInt16LE(20, 6);
    const centralFacts = Buffer.from(facts);
    centralFacts.writeUInt16LE(name.length, 20);
    const tail = Buffer.alloc(16);
    tail.writeUInt32LE(((member.mode ?? 0o100644) << 16) >>> 0, 8);
    tail.writeUInt32LE(offset, 12);
    directory.push(central, centralFacts, tail, name);
    offset += 30 + localName.length + body.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const end = header(0x06054b50, 22);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(directoryBytes.length, 12);
  end.writeUInt32LE(offset, 16);
  const commentBytes = Buffer.from(comment);
  end.writeUInt16LE(commentBytes.length, 20);
  return Buffer.concat([...parts, directoryBytes, end, commentBytes]);
}

function header(signature: number, lengthBytes: number): Buffer {
  const buffer = Buffer.alloc(lengthBytes);
  buffer.writeUInt32LE(signature, 0);
  return buffer;
}
