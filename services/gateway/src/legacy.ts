import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Inject, type OnModuleDestroy, Param, Post, Req, Res } from '@nestjs/common';
import { type BlobPorts, PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { loginIn } from './anaconda/place.js';
import { Identify } from './identify.js';
import { Blake2Thread } from './legacy-blake2.js';
import { type ReceivedUpload, receiveUpload } from './legacy-receive.js';
import { isRefusal } from './refusal.js';
import { drain } from './uploads-drain.js';

// The archive is opened, and the answer waits for the index.
const SUBMIT_MS = 150_000;

/** Uploads by form, as twine, uv, poetry and pdm send them. Both addresses, with and without a slash at their end. */
@Controller('pypi/:channel')
export class Legacy implements OnModuleDestroy {
  readonly #stages: ClientOf<typeof Stages>;
  readonly #hasher = new Blake2Thread();

  constructor(
    @Inject(PORTS) private readonly ports: RolePorts & BlobPorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#stages = clientOf(Stages, ports.bus);
  }

  @Post(['legacy', ''])
  async upload(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param('channel') text: string) {
    const channel = loginIn(text);
    const maxBytes = await this.#admit(request, channel);
    const received = await receiveUpload(request, this.ports.blobs, this.#hasher, maxBytes);
    try {
      await this.#submit(request, channel, received);
    } catch (error) {
      // Where no answer came, the upload may still be going on with these bytes; if not, they are swept with its stage.
      if (isRefusal(error)) await this.ports.blobs.delete(received.staged.stagingKey);
      throw isFault(error) && error.code === 'conflict' ? fileExists(received.filename, error) : error;
    }
    response.writeHead(200, { 'Content-Length': '0' });
    response.end();
    drain(request);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#hasher.close();
  }

  /** By the headers alone: who may write nothing here is refused before the first byte of the body is read. */
  async #admit(request: IncomingMessage, channel: string): Promise<number> {
    const caller = await this.identify.require(request, ['packages'], 'repository');
    const { maxBytes } = await this.#stages.admit({ channel, kind: 'pypi' }, caller.for('packages'));
    return Math.min(Number(maxBytes), this.ports.config.maxUploadBytes);
  }

  async #submit(request: IncomingMessage, channel: string, { form, filename, staged }: ReceivedUpload): Promise<void> {
    // Asked again: the body may have taken an hour, in which the token may have been revoked.
    const caller = await this.identify.require(request, ['packages'], 'repository');
    const { stagingKey, sha256, md5, sizeBytes } = staged;
    await this.#stages.submit(
      {
        channel,
        kind: 'pypi',
        basename: filename,
        stagingKey,
        sha256,
        md5,
        sizeBytes: BigInt(sizeBytes),
        formName: form.name,
        formVersion: form.version,
        formFiletype: form.filetype,
      },
      { ...caller.for('packages'), timeoutMs: SUBMIT_MS },
    );
  }
}

/** Clients know a name that is taken by these first words; some of them go on to the next file then. */
function fileExists(filename: string, cause: Fault): Fault {
  const sentence = `File already exists (${filename}, with other bytes). Use another version or build number, or remove that file first.`;
  return new Fault('conflict', sentence, { cause });
}
