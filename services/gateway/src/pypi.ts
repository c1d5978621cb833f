import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { sees, strangerView, type View } from '@vivarium/access/view';
import type { RolePorts } from '@vivarium/boot/ports';
import { Heads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { Fault } from '@vivarium/fault/fault';
import type { ProjectPages, PypiManifest } from '@vivarium/pypi/manifest';
import { negotiateSimple, SIMPLE_CONTENT_TYPES } from '@vivarium/pypi/negotiate';
import { canonicalLocation, type PypiPath, parsePypiPath } from '@vivarium/pypi/path';
import { renderRootHtml, renderRootJson } from '@vivarium/pypi/simple';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import type { Access, Reader } from './access.js';
import { readableView } from './admitted.js';
import type { Files } from './files.js';
import type { Floors } from './floor.js';
import { headOf } from './head.js';
import type { ObjectStore } from './object-store.js';
import { pypiRootOf } from './pypi-root.js';
import type { ReadRequest } from './read-request.js';
import type { Answer, Redirect } from './send.js';

const PAGE_CACHE_CONTROL = 'private, max-age=0, must-revalidate';
const FILE_CACHE_CONTROL = 'private, max-age=31536000, immutable';
const PAGE_VARY = 'Authorization, Accept, Accept-Encoding';
const EMPTY: PypiManifest = { parts: [] };

const gzipLater = promisify(gzip);

/** Reads of the PyPI family: parse → access → the answer to send. */
export class Pypi {
  readonly #ports: RolePorts;
  readonly #access: Access;
  readonly #floors: Floors;
  readonly #objects: ObjectStore;
  readonly #files: Files;
  readonly #heads: ClientOf<typeof Heads>;

  constructor(parts: { ports: RolePorts; access: Access; floors: Floors; objects: ObjectStore; files: Files }) {
    this.#ports = parts.ports;
    this.#access = parts.access;
    this.#floors = parts.floors;
    this.#objects = parts.objects;
    this.#files = parts.files;
    this.#heads = clientOf(Heads, parts.ports.bus);
  }

  /** What to send, at once when everything is known. Throws the fault that denies. */
  answer(request: ReadRequest): Answer | Redirect | Promise<Answer | Redirect> {
    const path = parsePypiPath(request.path);
    const reader = this.#access.readerOf({ ...request, channel: path.channel, label: path.label, use: 'pypi' });
    if (reader instanceof Promise) return reader.then((found) => this.#answerTo(found, path, request));
    return this.#answerTo(reader, path, request);
  }

  #answerTo(reader: Reader, path: PypiPath, request: ReadRequest): Answer | Redirect | Promise<Answer | Redirect> {
    const { resource, label } = path;
    switch (resource.kind) {
      case 'file': {
        const { sha256, filename, metadata } = resource;
        const where = { kind: 'pypi', label, basename: filename, sha256, metadata } as const;
        return this.#files.answer(reader, where, { cacheControl: FILE_CACHE_CONTROL });
      }
      case 'project':
      case 'root': {
        const location = canonicalLocation(path);
        if (location === undefined) {
          return resource.kind === 'root'
            ? this.#root(reader, label, request)
            : this.#project(reader, path, resource.project, request);
        }
        // The same for every name: the redirect must not tell what exists.
        refuseOutsiders(reader);
        return { location };
      }
      case 'upload':
        refuseOutsiders(reader);
        throw new Fault('invalid', 'This address takes uploads by POST. The index is beside it, at ../simple/.');
      default:
        return resource satisfies never;
    }
  }

  async #project(reader: Reader, path: PypiPath, project: string, request: ReadRequest): Promise<Answer> {
    const { admission } = reader;
    const view = admission.kind === 'deny' && admission.admitsPublic ? strangerView() : readableView(reader);
    const pages = pagesIn(await this.#manifest(reader, path.label), view, project);
    if (pages === undefined) {
      readableView(reader);
      throw new Fault('not_found', `${project} is not in ${path.channel}, label ${path.label}.`);
    }
    const format = negotiateSimple(request.accept, request.format);
    const hash =
      format === 'json'
        ? request.acceptsGzip
          ? pages.jsonGzip
          : pages.json
        : request.acceptsGzip
          ? pages.htmlGzip
          : pages.html;
    const bytes = await this.#objects.object(hash);
    // Two types for the same bytes of HTML: the tag is of the representation.
    const tag = format === 'html' ? `${hash.slice(0, 40)}-h` : hash.slice(0, 40);
    return pageAnswer(format, `"${tag}"`, request.acceptsGzip, bytes);
  }

  async #root(reader: Reader, label: string, request: ReadRequest): Promise<Answer> {
    const view = readableView(reader);
    const manifest = await this.#manifest(reader, label);
    const format = negotiateSimple(request.accept, request.format);
    const { names, fingerprint } = await pypiRootOf(manifest, view, reader.channel.incarnation);
    const shape = format === 'json' ? 'json' : 'html';
    const plain = () =>
      this.#objects.composed(`root ${shape} ${fingerprint}`, async () =>
        shape === 'json' ? renderRootJson(names) : renderRootHtml(names),
      );
    const bytes = request.acceptsGzip
      ? await this.#objects.composed(`root ${shape} gzip ${fingerprint}`, async () => gzipLater(await plain()))
      : await plain();
    return pageAnswer(
      format,
      `"${fingerprint}-${format}${request.acceptsGzip ? '-gz' : ''}"`,
      request.acceptsGzip,
      bytes,
    );
  }

  async #manifest(reader: Reader, label: string): Promise<PypiManifest> {
    const { channel } = reader;
    const where = { service: 'pypi-index', name: label };
    const { hash } = await headOf(this.#floors, reader, where, async () => {
      const assertion = await this.#ports.trust.assertionFor('pypi-index');
      return this.#heads.find({ channelId: channel.id, label }, { assertion });
    });
    return hash === '' ? EMPTY : this.#objects.pypiManifest(hash);
  }
}

/** Access first: a channel of which nothing may be seen answers here as everywhere, and as one that does not exist. */
function refuseOutsiders(reader: Reader): void {
  if (reader.admission.kind === 'deny' && !reader.admission.admitsPublic) readableView(reader);
}

function pagesIn(manifest: PypiManifest, view: View, name: string): ProjectPages | undefined {
  for (const { audience, projects } of manifest.parts) {
    const pages = Object.hasOwn(projects, name) ? projects[name] : undefined;
    if (pages !== undefined && sees(view, { audience, name })) return pages;
  }
  return undefined;
}

function pageAnswer(format: 'json' | 'html-v1' | 'html', etag: string, gzipped: boolean, bytes: Uint8Array): Answer {
  return {
    etag,
    contentType: SIMPLE_CONTENT_TYPES[format],
    cacheControl: PAGE_CACHE_CONTROL,
    vary: PAGE_VARY,
    contentEncoding: gzipped ? 'gzip' : undefined,
    body: { sizeBytes: bytes.byteLength, bytes },
  };
}
