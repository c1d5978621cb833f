import { strangerView, type View } from '@vivarium/access/view';
import type { Blobs } from '@vivarium/blobs/blobs';
import type { RolePorts } from '@vivarium/boot/ports';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Files as FilesContract } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { versionsFromProto, viewToProto } from '@vivarium/trust/messages';
import type { Reader } from './access.js';
import { readableView } from './admitted.js';
import type { Query } from './cache.js';
import type { CountDownload, Downloads } from './downloads.js';
import type { Floors } from './floor.js';
import type { ObjectStore } from './object-store.js';
import type { Answer, Body } from './send.js';

/** Where an artifact is asked for. */
export interface Where {
  readonly kind: 'conda' | 'pypi';
  readonly label: string;
  readonly basename: string;
  readonly subdir?: string;
  /** pypi: the digest in the URL, and whether the metadata beside the wheel is meant. */
  readonly sha256?: string;
  readonly metadata?: boolean;
}

/** Where an artifact is. */
export interface FileAt {
  readonly blobKey: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly uploadedAtMs: number;
  /** Not of the metadata beside a wheel. */
  readonly countDownload: CountDownload | undefined;
}

export interface SendOptions {
  readonly cacheControl: string;
  readonly contentType?: string;
}

// Larger ones are streamed: they would push many small ones out of the memory.
const KEPT_BYTES = 256 * 1024;

/** Finds artifacts inside a reader's view, and their bytes. */
export class Files {
  readonly #ports: RolePorts;
  readonly #floors: Floors;
  readonly #objects: ObjectStore;
  readonly #blobs: Blobs;
  readonly #files: ClientOf<typeof FilesContract>;
  readonly #callers: ClientOf<typeof Callers>;
  readonly #downloads: Downloads;

  constructor(ports: RolePorts, floors: Floors, objects: ObjectStore, blobs: Blobs, downloads: Downloads) {
    this.#downloads = downloads;
    this.#ports = ports;
    this.#floors = floors;
    this.#objects = objects;
    this.#blobs = blobs;
    this.#files = clientOf(FilesContract, ports.bus);
    this.#callers = clientOf(Callers, ports.bus);
  }

  /**
   * The artifact, looked up inside the reader's view and remembered under it, so that nothing tells a hidden one from one
   * that does not exist. Throws Fault('not_found'), or the reader's refusal.
   */
  find(reader: Reader, where: Where): FileAt | Promise<FileAt> {
    const { admission, channel } = reader;
    const view =
      admission.kind === 'view' ? admission.view : admission.admitsPublic ? strangerView() : readableView(reader);
    const query: Query<FileAt | undefined> = {
      // The floor as for heads: what was read below it may show what was hidden since.
      key: `file ${channel.id} ${channel.floor} ${viewName(view)} ${where.kind} ${where.label} ${where.sha256 ?? ''} ${where.metadata === true} ${where.basename}`,
      services: ['packages'],
      isAbsent: (at) => at === undefined,
      load: async () => {
        const assertion = await this.#ports.trust.assertionFor('packages');
        const request = { ...where, channelId: channel.id, view: viewToProto(view) };
        const answered = await this.#files.at(request, { assertion });
        const { found, blobKey, sha256, sizeBytes, uploadedAtMs, versions, fileId } = answered;
        const countDownload = where.metadata === true ? undefined : this.#downloads.counterOf(fileId);
        const at = { blobKey, sha256, sizeBytes: Number(sizeBytes), uploadedAtMs: Number(uploadedAtMs), countDownload };
        return { value: found ? at : undefined, versions: versionsFromProto(versions) };
      },
    };
    const found = this.#floors.read(query, reader);
    if (found instanceof Promise) return found.then((at) => this.#present(reader, where, at));
    return this.#present(reader, where, found);
  }

  /** What sends the artifact. Throws as `find` does. */
  answer(reader: Reader, where: Where, options: SendOptions): Answer | Promise<Answer> {
    const at = this.find(reader, where);
    const { limitedTokenId } = reader;
    const spend = limitedTokenId === undefined ? undefined : () => this.#use(limitedTokenId);
    if (at instanceof Promise) return at.then((found) => artifactAnswer(found, this.body(found), options, spend));
    return artifactAnswer(at, this.body(at), options, spend);
  }

  /** The bytes: small ones from memory, large ones as a stream of the span asked for. */
  body(at: FileAt): Body | Promise<Body> {
    if (at.sizeBytes <= KEPT_BYTES) {
      const bytes = this.#objects.blob(at.blobKey, KEPT_BYTES);
      if (bytes instanceof Promise) return bytes.then((read) => ({ sizeBytes: read.byteLength, bytes: read }));
      return { sizeBytes: bytes.byteLength, bytes };
    }
    return {
      sizeBytes: at.sizeBytes,
      open: async (span) => (await this.#blobs.get(at.blobKey, span)).stream(),
    };
  }

  #present(reader: Reader, where: Where, at: FileAt | undefined): FileAt {
    if (at === undefined) {
      readableView(reader);
      throw new Fault('not_found', `${where.basename} is not in ${reader.channel.login}, label ${where.label}.`);
    }
    return at;
  }

  async #use(tokenId: string): Promise<void> {
    const assertion = await this.#ports.trust.assertionFor('identity');
    await this.#callers.use({ tokenId }, { assertion });
  }
}

/** Two callers with the same principals see the same; strangers all share one name. */
export function viewName(view: View): string {
  if (!view.signedIn) return 'stranger';
  const cut = view.globs === undefined && view.subdirs === undefined ? '' : JSON.stringify([view.globs, view.subdirs]);
  if (view.everything) return `everything${cut}`;
  return `${view.principals.join(',')}${cut}`;
}

/** The answer that sends an artifact: somebody's upload, which no browser shall show or run. */
function artifactAnswer(
  at: FileAt,
  body: Body | Promise<Body>,
  options: SendOptions,
  spend: (() => Promise<void>) | undefined,
): Answer | Promise<Answer> {
  const answer = (read: Body): Answer => ({
    etag: `"${at.sha256}"`,
    contentType: options.contentType ?? 'application/octet-stream',
    cacheControl: options.cacheControl,
    vary: 'Authorization',
    modifiedMs: at.uploadedAtMs,
    untrusted: true,
    spend,
    countDownload: at.countDownload,
    body: read,
  });
  return body instanceof Promise ? body.then(answer) : answer(body);
}
