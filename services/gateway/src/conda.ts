import { createHash } from 'node:crypto';
import type { Audience } from '@vivarium/access/audience';
import { sees, strangerView, type View } from '@vivarium/access/view';
import type { RolePorts } from '@vivarium/boot/ports';
import { emptyManifest } from '@vivarium/conda/manifest';
import { type CondaPath, type CondaResource, parseCondaPath } from '@vivarium/conda/path';
import { isKnownSubdir } from '@vivarium/conda/subdir';
import { Heads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { type Notice, Notices } from '@vivarium/contracts/gen/vivarium/packages/v1/notices_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { audienceFromProto } from '@vivarium/trust/messages';
import type { Access, Reader } from './access.js';
import { readableView } from './admitted.js';
import type { Query } from './cache.js';
import { ChannelData, type Packing } from './channel-data.js';
import type { ChannelFile } from './channel-entries.js';
import { type CondaView, condaViewOf, type IndexFormat } from './conda-view.js';
import { type Files, viewName } from './files.js';
import type { Floors } from './floor.js';
import { type Head, headOf } from './head.js';
import type { ObjectStore } from './object-store.js';
import type { ReadRequest } from './read-request.js';
import type { Answer } from './send.js';

const INDEX_CACHE_CONTROL = 'private, max-age=0, must-revalidate';
const SHARD_CACHE_CONTROL = 'private, max-age=31536000, immutable';

/** Reads of the conda family: parse → access → the answer to send. */
export class Conda {
  readonly #ports: RolePorts;
  readonly #access: Access;
  readonly #floors: Floors;
  readonly #objects: ObjectStore;
  readonly #files: Files;
  readonly #heads: ClientOf<typeof Heads>;
  readonly #channelData: ChannelData;
  readonly #notices: ClientOf<typeof Notices>;

  constructor(parts: { ports: RolePorts; access: Access; floors: Floors; objects: ObjectStore; files: Files }) {
    this.#ports = parts.ports;
    this.#access = parts.access;
    this.#floors = parts.floors;
    this.#objects = parts.objects;
    this.#files = parts.files;
    this.#heads = clientOf(Heads, parts.ports.bus);
    this.#channelData = new ChannelData(parts.ports);
    this.#notices = clientOf(Notices, parts.ports.bus);
  }

  /** What to send, at once when everything is known. Throws the fault that denies. */
  answer(request: ReadRequest): Answer | Promise<Answer> {
    const path = parseCondaPath(request.path);
    const subdir = 'subdir' in path.resource ? path.resource.subdir : undefined;
    const ask = { ...request, channel: path.channel, label: path.label, subdir, use: 'conda' as const };
    const reader = this.#access.readerOf(ask);
    if (reader instanceof Promise) return reader.then((found) => this.#answerTo(found, path, request));
    return this.#answerTo(reader, path, request);
  }

  #answerTo(reader: Reader, path: CondaPath, request: ReadRequest): Answer | Promise<Answer> {
    const { resource } = path;
    switch (resource.kind) {
      case 'repodata':
        return this.#index(reader, path, resource, resource.format, request);
      case 'shard-index':
        return this.#index(reader, path, resource, 'shard-index', request);
      case 'shard':
        return this.#shard(reader, path, resource);
      case 'artifact': {
        const basename = `${resource.subdir}/${resource.filename}`;
        const where = { kind: 'conda', label: path.label, basename, subdir: resource.subdir } as const;
        return this.#files.answer(reader, where, { cacheControl: 'private, no-cache' });
      }
      case 'run-exports':
        return this.#channelFile(reader, path, resource, resource.format === 'json.zst' ? 'zst' : textFor(request));
      case 'channeldata':
        return this.#channelFile(reader, path, resource, textFor(request));
      case 'notices':
        return this.#channelNotices(reader);
      case 'absent':
        // Access first: who may not read here must not learn from the answer what is served.
        readableView(reader);
        throw missing(path);
      default:
        return resource satisfies never;
    }
  }

  async #index(
    reader: Reader,
    path: CondaPath,
    resource: Extract<CondaResource, { subdir: string }>,
    format: IndexFormat,
    request: ReadRequest,
  ): Promise<Answer> {
    const view = readableView(reader);
    const seen = await this.#viewOf(reader, path.label, resource.subdir, view);
    const encoding = format === 'json' && request.acceptsGzip ? 'gzip' : undefined;
    const bytes = await seen.bytesOf(format, encoding, this.#objects);
    return {
      etag: seen.etagOf(format, encoding),
      contentType: format === 'json' ? 'application/json' : 'application/zstd',
      cacheControl: INDEX_CACHE_CONTROL,
      vary: format === 'json' ? 'Authorization, Accept-Encoding' : 'Authorization',
      contentEncoding: encoding,
      body: { sizeBytes: bytes.byteLength, bytes },
    };
  }

  async #channelFile(reader: Reader, path: CondaPath, file: ChannelFile, packing: Packing): Promise<Answer> {
    const view = readableView(reader);
    const { etag, bytes } = await this.#channelData.read(reader.channel, path.label, view, file, packing);
    return {
      etag,
      contentType: packing === 'zst' ? 'application/zstd' : 'application/json',
      cacheControl: INDEX_CACHE_CONTROL,
      vary: packing === 'zst' ? 'Authorization' : 'Authorization, Accept-Encoding',
      contentEncoding: packing === 'gzip' ? 'gzip' : undefined,
      body: { sizeBytes: bytes.byteLength, bytes },
    };
  }

  /** For all who may read here: asked at each request, since clients ask once a day. */
  async #channelNotices(reader: Reader): Promise<Answer> {
    readableView(reader);
    const assertion = await this.#ports.trust.assertionFor('packages');
    const { notices } = await this.#notices.published({ channelId: reader.channel.id }, { assertion });
    const bytes = Buffer.from(noticesJson(notices));
    return {
      etag: `"${createHash('sha256').update(bytes).digest('hex')}"`,
      contentType: 'application/json',
      cacheControl: INDEX_CACHE_CONTROL,
      vary: 'Authorization',
      body: { sizeBytes: bytes.byteLength, bytes },
    };
  }

  async #shard(reader: Reader, path: CondaPath, resource: Extract<CondaResource, { kind: 'shard' }>): Promise<Answer> {
    const { admission } = reader;
    // A public shard is served even where the token is refused; everything else gets the refusal.
    const view = admission.kind === 'deny' && admission.admitsPublic ? strangerView() : readableView(reader);
    const head = await this.#headOf(reader, path.label, resource.subdir);
    const seen = await this.#viewIn(head, reader, resource.subdir, view);
    if (!seen.holdsShard(resource.hash) && !(await this.#isRetired(reader, path, resource, view, head))) {
      readableView(reader);
      throw missing(path);
    }
    const bytes = await this.#objects.object(resource.hash);
    return {
      etag: `"${resource.hash}"`,
      contentType: 'application/octet-stream',
      cacheControl: SHARD_CACHE_CONTROL,
      vary: 'Authorization',
      body: { sizeBytes: bytes.byteLength, bytes },
    };
  }

  /** A superseded shard, for clients that hold an older index; who may read it is decided by today's facts. */
  async #isRetired(
    reader: Reader,
    path: CondaPath,
    { subdir, hash }: Extract<CondaResource, { kind: 'shard' }>,
    view: View,
    head: Head,
  ): Promise<boolean> {
    const { channel } = reader;
    const query: Query<{ readonly audience: Audience; readonly name: string } | undefined> = {
      // Under the view, although the answer is the same in each: else it would tell that somebody else has asked.
      key: `retired ${channel.id} ${channel.floor} ${viewName(view)} ${path.label} ${subdir} ${hash}`,
      services: ['conda-index', 'packages'],
      isAbsent: (found) => found === undefined,
      load: async () => {
        const assertion = await this.#ports.trust.assertionFor('conda-index');
        const request = { channelId: channel.id, label: path.label, subdir, hash };
        const { found, audience, name } = await this.#heads.retiredShard(request, { assertion });
        // Of the head too: what no index holds yet may be in the next one.
        const versions = [
          { tag: `channel:${channel.id}`, version: channel.generation },
          { tag: `heads:conda:${channel.id}`, version: head.generation },
        ];
        return { value: found ? { audience: audienceFromProto(audience), name } : undefined, versions };
      },
    };
    const shard = await this.#floors.read(query, reader);
    return shard !== undefined && sees(view, { ...shard, subdir });
  }

  async #viewOf(reader: Reader, label: string, subdir: string, view: View): Promise<CondaView> {
    return this.#viewIn(await this.#headOf(reader, label, subdir), reader, subdir, view);
  }

  #headOf(reader: Reader, label: string, subdir: string): Head | Promise<Head> {
    const channelId = reader.channel.id;
    return headOf(this.#floors, reader, { service: 'conda-index', name: `${label} ${subdir}` }, async () => {
      const assertion = await this.#ports.trust.assertionFor('conda-index');
      return this.#heads.find({ channelId, label, subdir }, { assertion });
    });
  }

  async #viewIn({ hash }: Head, { channel }: Reader, subdir: string, view: View): Promise<CondaView> {
    const manifest = hash === '' ? emptyManifest(subdir) : await this.#objects.condaManifest(hash);
    return condaViewOf(manifest, view, channel.incarnation);
  }
}

/** As conda reads it. Source: CEP 6, "Channel notices". */
function noticesJson(notices: readonly Notice[]): string {
  const timeOf = (ms: bigint) => new Date(Number(ms)).toISOString();
  const rows = notices.map(({ id, message, level, createdAtMs, expiresAtMs }) => {
    return { id, message, level, created_at: timeOf(createdAtMs), expired_at: timeOf(expiresAtMs) };
  });
  return JSON.stringify({ notices: rows });
}

/** True for paths on the main host that mean conda without saying so: they end in a known file under a known subdir. */
export function looksLikeConda(path: string): boolean {
  const segments = path.split('/');
  const parent = segments.at(-2) ?? '';
  if (isKnownSubdir(parent)) return true;
  return parent === 'shards' && isKnownSubdir(segments.at(-3) ?? '');
}

function textFor({ acceptsGzip }: ReadRequest): Packing {
  return acceptsGzip ? 'gzip' : 'plain';
}

/** The one answer for what is hidden and for what does not exist. */
function missing(path: CondaPath): Fault {
  const name = 'filename' in path.resource ? path.resource.filename : path.resource.kind;
  return new Fault('not_found', `${name} is not in ${path.channel}, label ${path.label}.`);
}
