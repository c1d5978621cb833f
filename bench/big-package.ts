import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createZstdCompress } from 'node:zlib';
import { aCondaPackage } from '@vivarium/testkit/builders';
import { tarOf } from '@vivarium/testkit/tar-writer';
import type { Artifact } from './publish.js';
import { storedMemberOf, ZipFile } from './zip-file.js';

const PIECE_BYTES = 8 * 1024 * 1024;
const BLOCK_BYTES = 512;
const VERSION = '1.0';

/**
 * Writes a `.conda` of about this size to a file, with flat memory: one file of bytes that no compression shrinks, listed
 * with its right hash.
 */
export async function writeBigPackage(name: string, aboutBytes: number, file: string): Promise<Artifact> {
  const stem = `${name}-${VERSION}-0`;
  const path = `share/${name}/filler.bin`;
  const target = await open(file, 'w');
  try {
    const content = contentOf(name, path, Math.max(1, Math.round(aboutBytes / PIECE_BYTES)));
    const zip = new ZipFile(target);
    await zip.add('metadata.json', [Buffer.from(JSON.stringify({ conda_pkg_format_version: 2 }))]);
    await zip.add(`pkg-${stem}.tar.zst`, content.bytes);
    const info = `info-${stem}.tar.zst`;
    await zip.add(info, [storedMemberOf(infoPackage(name, path, content.listed()), info)]);
    await zip.end();
    const { size } = await target.stat();
    const { sha256, md5 } = await hashesOf(target, file);
    return {
      kind: 'conda',
      name,
      version: VERSION,
      basename: `noarch/${stem}.conda`,
      sha256,
      md5,
      sizeBytes: size,
      file,
    };
  } finally {
    await target.close();
  }
}

interface Listed {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** The payload, a compressed tar with one large file, and what to say of it once it was read. */
function contentOf(name: string, path: string, pieces: number): { bytes: AsyncIterable<Buffer>; listed: () => Listed } {
  const compress = createZstdCompress();
  const hash = createHash('sha256');
  const sizeBytes = pieces * PIECE_BYTES;
  const feed = async (): Promise<void> => {
    compress.write(tarHeader(path, sizeBytes));
    const key = createHash('sha256').update(name).digest().subarray(0, 16);
    const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
    const zeros = Buffer.alloc(PIECE_BYTES);
    for (let piece = 0; piece < pieces; piece++) {
      const bytes = cipher.update(zeros);
      hash.update(bytes);
      if (!compress.write(bytes)) await once(compress, 'drain');
    }
    compress.end(Buffer.alloc(2 * BLOCK_BYTES));
  };
  feed().catch((error: unknown) => compress.destroy(error instanceof Error ? error : new Error(String(error))));
  return { bytes: compress, listed: () => ({ sha256: hash.digest('hex'), sizeBytes }) };
}

/** The header of a file of this size, below 8 GB. The builder's own would need the bytes. */
function tarHeader(path: string, sizeBytes: number): Buffer {
  const header = tarOf([{ path, bytes: '' }]).subarray(0, BLOCK_BYTES);
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124);
  header.write('        ', 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** A small package whose `info` speaks of the large file. */
function infoPackage(name: string, path: string, { sha256, sizeBytes }: Listed): Buffer {
  const paths = [{ _path: path, path_type: 'hardlink', sha256, size_in_bytes: sizeBytes }];
  return aCondaPackage({
    name,
    version: VERSION,
    info: { files: `${path}\n`, 'paths.json': JSON.stringify({ paths, paths_version: 1 }) },
  }).bytes;
}

async function hashesOf(target: FileHandle, file: string): Promise<{ readonly sha256: string; readonly md5: string }> {
  await target.sync();
  const [sha256, md5] = [createHash('sha256'), createHash('md5')];
  for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) {
    sha256.update(piece);
    md5.update(piece);
  }
  return { sha256: sha256.digest('hex'), md5: md5.digest('hex') };
}
