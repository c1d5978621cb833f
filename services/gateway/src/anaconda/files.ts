import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Delete, Get, Inject, Param, Req, Res } from '@nestjs/common';
import { type BlobPorts, PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Files as FilesContract } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import type { File } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Downloads } from '../downloads.js';
import { type Identified, Identify } from '../identify.js';
import { type Answer, send } from '../send.js';
import { type FileParams, fileIn } from './place.js';
import { fileShape } from './shapes.js';

const CHANGE_MS = 30_000;

@Controller('api')
export class Files {
  readonly #files: ClientOf<typeof FilesContract>;
  readonly #callers: ClientOf<typeof Callers>;

  constructor(
    @Inject(PORTS) private readonly ports: RolePorts & BlobPorts,
    @Inject(Identify) private readonly identify: Identify,
    @Inject(Downloads) private readonly downloads: Downloads,
  ) {
    this.#files = clientOf(FilesContract, ports.bus);
    this.#callers = clientOf(Callers, ports.bus);
  }

  @Get('dist/:owner/:package/:version/*basename')
  async find(@Req() request: IncomingMessage, @Param() params: FileParams) {
    const place = fileIn(params);
    const caller = await this.identify.identify(request, ['packages']);
    const { file } = await this.#files.find(place, caller.for('packages'));
    return fileShape(present(file), place.channel, this.ports.config.publicUrl);
  }

  /** A body is demanded: the client reads the answer as JSON. */
  @Delete('dist/:owner/:package/:version/*basename')
  async delete(@Req() request: IncomingMessage, @Param() params: FileParams) {
    const place = fileIn(params);
    const caller = await this.identify.require(request, ['packages']);
    const { file } = await this.#files.delete(place, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    return fileShape(present(file), place.channel, this.ports.config.publicUrl);
  }

  @Get('download/:owner/:package/:version/*basename')
  async download(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param() params: FileParams) {
    const place = fileIn(params);
    const caller = await this.identify.identify(request, ['packages']);
    const { file, blobKey } = await this.#files.find({ ...place, bytes: true }, caller.for('packages'));
    await send(request, response, this.#answer(present(file), blobKey, caller));
  }

  #answer({ id, sha256, sizeBytes, uploadedAtMs }: File, blobKey: string, { caller }: Identified): Answer {
    return {
      etag: `"${sha256}"`,
      contentType: 'application/octet-stream',
      // The name can be taken by other bytes.
      cacheControl: 'private, no-cache',
      vary: 'Authorization, Cookie',
      modifiedMs: Number(uploadedAtMs),
      untrusted: true,
      body: {
        sizeBytes: Number(sizeBytes),
        // No range holds a byte of nothing.
        ...(sizeBytes === 0n ? { bytes: new Uint8Array() } : {}),
        open: async (span) => (await this.ports.blobs.get(blobKey, span)).stream(),
      },
      countDownload: this.downloads.counterOf(id),
      spend: caller?.limitedUses === true ? () => this.#use(caller.credentialId) : undefined,
    };
  }

  async #use(tokenId: string): Promise<void> {
    const assertion = await this.ports.trust.assertionFor('identity');
    await this.#callers.use({ tokenId }, { assertion });
  }
}

function present(file: File | undefined): File {
  if (file !== undefined) return file;
  throw new Fault('internal', 'Something went wrong on our side.', { cause: new Error('an answer without a file') });
}
