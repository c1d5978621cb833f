import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  copyFile,
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  opendir,
  readdir,
  rename,
  rm,
  stat,
  unlink,
  utimes,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { Fault, isFault } from '@vivarium/fault/fault';
import {
  type BlobBody,
  type BlobFacts,
  type Blobs,
  type ByteRange,
  checkKey,
  checkPrefix,
  cutRange,
  nothingUnder,
  type PutOptions,
  type PutResult,
  tooLarge,
} from './blobs.js';
import { measure } from './measure.js';

// The tree below the root, drawn where it is computed:
//
//   <root>/<folders of the key>/~ab/<last segment>   ab = the first two characters of the last segment
//   <root>/.tmp/<uuid>                               bodies on their way in
//
// `~` and a leading dot occur in no key, so a key can be both a file and a folder of others (`a` and `a/b`), as in S3,
// and no folder grows to a million entries.

const FANOUT = '~';
const TEMPORARY_FOR_MS = 24 * 60 * 60 * 1000;
const READ_CHUNK_BYTES = 256 * 1024;

/**
 * Blobs in a folder of this machine's disk. Made if missing; what a crash left half-written a day ago is removed.
 * Throws Fault('unavailable') if the folder cannot be used.
 */
export async function openFolderBlobs(root: string): Promise<Blobs> {
  const folder = new FolderBlobs(root);
  await folder.prepare();
  return folder;
}

class FolderBlobs implements Blobs {
  private readonly temporary: string;
  /** Folders whose own entries are known to be on disk, from the root down. */
  private readonly durable = new Map<string, Promise<void>>();

  constructor(private readonly root: string) {
    this.temporary = join(root, '.tmp');
  }

  async prepare(): Promise<void> {
    await this.guarded(async () => {
      await mkdir(this.temporary, { recursive: true, mode: 0o700 });
      const before = Date.now() - TEMPORARY_FOR_MS;
      for (const name of await readdir(this.temporary)) {
        const path = join(this.temporary, name);
        const facts = await lstat(path).catch(() => undefined);
        if (facts !== undefined && facts.mtimeMs < before) await rm(path, { force: true });
      }
    });
  }

  async put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<PutResult> {
    checkKey(key);
    const target = this.pathOf(key);
    const ifAbsent = options.ifAbsent === true;
    const { chunks, sizeBytes } = measure(body, options.contentLength);
    if (ifAbsent && body instanceof Uint8Array && (await this.isThere(target))) {
      return { stored: false, sizeBytes: body.byteLength };
    }
    const stored = await this.withTemporary(async (path) => {
      const file = await this.guarded(() => open(path, 'wx', 0o600));
      try {
        // Only our own writes are guarded: an error of the body is the sender's and goes on as it is.
        for await (const chunk of chunks) await this.guarded(() => writeAll(file, chunk));
        // The bytes before the name: a crash may leave a nameless file, never a name without its bytes.
        await this.guarded(() => file.sync());
      } finally {
        await file.close();
      }
      return this.guarded(() => this.publish(path, target, ifAbsent));
    });
    return { stored, sizeBytes: sizeBytes() };
  }

  async get(key: string, range?: ByteRange): Promise<BlobBody> {
    checkKey(key);
    // Opened now: a delete or replacement after this moment does not change what is read.
    const file = await this.guarded(() => openIfThere(this.pathOf(key)));
    if (file === undefined) throw nothingUnder(key);
    try {
      const { size } = await file.stat();
      return new FileBody(file, size, cutRange(range, size));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async head(key: string): Promise<BlobFacts | undefined> {
    checkKey(key);
    return this.guarded(() => factsOf(this.pathOf(key)));
  }

  async *list(prefix: string): AsyncIterable<BlobFacts & { readonly key: string }> {
    checkPrefix(prefix);
    const slash = prefix.lastIndexOf('/') + 1;
    yield* this.walk(prefix.slice(0, slash), prefix);
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.guarded(() => unlinkIfThere(this.pathOf(key)));
  }

  async copy(from: string, to: string): Promise<void> {
    checkKey(from);
    checkKey(to);
    const source = this.pathOf(from);
    await this.withTemporary(async (path) => {
      await this.guarded(async () => {
        if (!(await duplicate(source, path))) throw nothingUnder(from);
        await this.publish(path, this.pathOf(to), false);
      });
    });
  }

  async check(): Promise<void> {
    await this.withTemporary((path) =>
      this.guarded(async () => {
        const file = await open(path, 'wx', 0o600);
        try {
          await writeAll(file, Buffer.from('vivarium'));
        } finally {
          await file.close();
        }
      }),
    );
  }

  async close(): Promise<void> {}

  private pathOf(key: string): string {
    const slash = key.lastIndexOf('/') + 1;
    const name = key.slice(slash);
    return join(this.root, key.slice(0, slash), FANOUT + name.slice(0, 2), name);
  }

  private async *walk(folder: string, prefix: string): AsyncIterable<BlobFacts & { readonly key: string }> {
    const entries = await this.guarded(() => openFolderIfThere(join(this.root, folder)));
    if (entries === undefined) return;
    for await (const { name } of entries) {
      if (name.startsWith('.')) continue;
      if (name.startsWith(FANOUT)) yield* this.files(folder, name, prefix);
      else {
        const inner = `${folder}${name}/`;
        if (inner.startsWith(prefix) || prefix.startsWith(inner)) yield* this.walk(inner, prefix);
      }
    }
  }

  private async *files(folder: string, fan: string, prefix: string) {
    const start = folder + fan.slice(FANOUT.length);
    if (!start.startsWith(prefix) && !prefix.startsWith(start)) return;
    const entries = await this.guarded(() => openFolderIfThere(join(this.root, folder, fan)));
    if (entries === undefined) return;
    for await (const { name } of entries) {
      const key = folder + name;
      if (!key.startsWith(prefix)) continue;
      const facts = await this.guarded(() => factsOf(join(this.root, folder, fan, name)));
      if (facts !== undefined) yield { key, ...facts };
    }
  }

  /** Gives a finished file its name. False if it must be absent and is not. */
  private async publish(path: string, target: string, ifAbsent: boolean): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      await this.makeDurable(dirname(target));
      try {
        if (ifAbsent) await link(path, target);
        else await rename(path, target);
        break;
      } catch (error) {
        if (ifAbsent && isErrno(error, 'EEXIST')) {
          // Whoever put it may not be that far yet, and our caller builds on it now.
          await syncFolder(dirname(target));
          return false;
        }
        // Somebody removed the folder behind our back.
        if (attempt > 1 || !isErrno(error, 'ENOENT')) throw error;
        this.durable.clear();
      }
    }
    await syncFolder(dirname(target));
    return true;
  }

  /** True if a file is there and a crash cannot take its name away. */
  private async isThere(target: string): Promise<boolean> {
    return this.guarded(async () => {
      if ((await factsOf(target)) === undefined) return false;
      await syncFolder(dirname(target));
      return true;
    });
  }

  /** Makes a folder and sees to it that a crash cannot take its name away; once in the life of this process. */
  private makeDurable(folder: string): Promise<void> {
    const known = this.durable.get(folder);
    if (known !== undefined) return known;
    const making = (async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      if (folder === this.root) return;
      await this.makeDurable(dirname(folder));
      await syncFolder(dirname(folder));
    })();
    this.durable.set(folder, making);
    making.catch(() => this.durable.delete(folder));
    return making;
  }

  private async withTemporary<Result>(use: (path: string) => Promise<Result>): Promise<Result> {
    const path = join(this.temporary, randomUUID());
    try {
      return await use(path);
    } finally {
      await unlinkIfThere(path).catch(() => undefined);
    }
  }

  /** Turns what a disk may say on a bad day into a sentence for the operator. The path stays in the cause. */
  private async guarded<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw diskFaultOf(error);
    }
  }
}

class FileBody implements BlobBody {
  readonly lengthBytes: number;

  constructor(
    private readonly file: FileHandle,
    readonly sizeBytes: number,
    private readonly range: ByteRange,
  ) {
    this.lengthBytes = range.end - range.start;
  }

  stream(): Readable {
    if (this.lengthBytes === 0) {
      return Readable.from([]).on('close', () => void this.file.close());
    }
    const { start, end } = this.range;
    return this.file.createReadStream({ start, end: end - 1, highWaterMark: READ_CHUNK_BYTES });
  }

  async bytes(maxBytes: number): Promise<Buffer> {
    try {
      if (this.lengthBytes > maxBytes) throw tooLarge(this.lengthBytes, maxBytes);
      const buffer = Buffer.allocUnsafe(this.lengthBytes);
      let filled = 0;
      while (filled < buffer.length) {
        const { bytesRead } = await this.file.read(buffer, filled, buffer.length - filled, this.range.start + filled);
        if (bytesRead === 0) throw new Fault('unavailable', 'A blob ended before its end: the blob folder is damaged.');
        filled += bytesRead;
      }
      return buffer;
    } catch (error) {
      throw diskFaultOf(error);
    } finally {
      await this.file.close();
    }
  }

  async discard(): Promise<void> {
    await this.file.close();
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let written = 0;
  while (written < chunk.byteLength) {
    const { bytesWritten } = await file.write(chunk, written, chunk.byteLength - written);
    written += bytesWritten;
  }
}

/** A second name for the same bytes, or a real copy where the disk has no such thing. False if there is no source. */
async function duplicate(source: string, target: string): Promise<boolean> {
  try {
    // Bytes under a name are never written again, only replaced as a whole: a hard link is a copy.
    await link(source, target);
    const now = new Date();
    await utimes(target, now, now);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    if (!['EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].some((code) => isErrno(error, code))) throw error;
  }
  await rm(target, { force: true });
  await copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const file = await open(target, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  return true;
}

async function factsOf(path: string): Promise<BlobFacts | undefined> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { sizeBytes: size, modifiedAtMs: Math.trunc(mtimeMs) };
  } catch (error) {
    return absent(error);
  }
}

function openIfThere(path: string): Promise<FileHandle | undefined> {
  return open(path, 'r').catch(absent);
}

function openFolderIfThere(path: string) {
  return opendir(path, { bufferSize: 256 }).catch(absent);
}

function unlinkIfThere(path: string): Promise<void> {
  return unlink(path).catch(absent);
}

/** Nothing instead of an error, if the error says that there is nothing. */
function absent(error: unknown): undefined {
  if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
  throw error;
}

async function syncFolder(path: string): Promise<void> {
  // A folder cannot be opened for this on Windows, which keeps names in order by itself.
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function diskFaultOf(error: unknown): unknown {
  const sentence = sentenceOf(errnoOf(error));
  return sentence === undefined || isFault(error) ? error : new Fault('unavailable', sentence, { cause: error });
}

function sentenceOf(code: string | undefined): string | undefined {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'The blob folder is full: free space on the disk of DATA_DIR, or enlarge it.';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'The blob folder cannot be used: give this user the right to read and write DATA_DIR.';
    case 'ENOENT':
    case 'ENOTDIR':
    case 'EEXIST':
      return 'The blob folder is gone, or something else is in its place: correct DATA_DIR, then start again.';
    case 'EMFILE':
    case 'ENFILE':
      return 'Too many files are open: try again, or raise the limit of open files.';
    case 'EIO':
      return 'The disk of the blob folder reports errors: look at the system log.';
    default:
      return undefined;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return errnoOf(error) === code;
}

function errnoOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}
