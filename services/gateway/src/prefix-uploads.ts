import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { type BlobPorts, PORTS, type RolePorts } from '@vivarium/boot/ports';
import { parseCondaFilename } from '@vivarium/conda/filename';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { loginIn } from './anaconda/place.js';
import { arrivalOf } from './arrival.js';
import { Identify } from './identify.js';
import { isRefusal } from './refusal.js';
import { type StagedBytes, stageBytes } from './uploads-bytes.js';
import { drain } from './uploads-drain.js';
import { type FormFile, readForm } from './uploads-form.js';

// The archive is opened, and the answer waits for the index.
const SUBMIT_MS = 150_000;
const ATTESTATION = 'attestation';
const MAX_FIELDS = 100;

interface Received {
  readonly filename: string;
  readonly staged: StagedBytes;
}

/** Conda packages in one request, as `rattler-build upload prefix` and `pixi upload prefix` send them. */
@Controller('api/v1/upload')
export class PrefixUploads {
  readonly #stages: ClientOf<typeof Stages>;

  constructor(
    @Inject(PORTS) private readonly ports: RolePorts & BlobPorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#stages = clientOf(Stages, ports.bus);
  }

  @Post(':channel')
  async upload(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param('channel') text: string) {
    const channel = loginIn(text);
    const maxBytes = await this.#admit(request, channel);
    const { filename, staged } = await this.#receive(request, maxBytes);
    try {
      await this.#submit(request, channel, filename, staged);
    } catch (error) {
      // Where no answer came, the upload may still be going on with these bytes; if not, they are swept with its stage.
      if (isRefusal(error)) await this.ports.blobs.delete(staged.stagingKey);
      throw error;
    }
    response.writeHead(200, { 'Content-Length': '0' });
    response.end();
    drain(request);
  }

  /** By the headers alone: who may write nothing here is refused before the first byte of the body is read. */
  async #admit(request: IncomingMessage, channel: string): Promise<number> {
    const caller = await this.identify.require(request, ['packages'], 'repository');
    const { maxBytes } = await this.#stages.admit({ channel, kind: 'conda' }, caller.for('packages'));
    return Math.min(Number(maxBytes), this.ports.config.maxUploadBytes);
  }

  async #receive(request: IncomingMessage, maxBytes: number): Promise<Received> {
    let held: string | undefined;
    try {
      const { fields, received } = await readForm(request, {
        filePart: 'file',
        fields: new Set([ATTESTATION]),
        maxFields: MAX_FIELDS,
        maxBytes,
        receive: async (file) => {
          const filename = file.header('x-file-name') ?? file.filename ?? '';
          // What is no package is refused before its bytes are kept.
          parseCondaFilename(filename);
          const staged = await stageBytes(this.ports.blobs, file.chunks, { maxBytes, sha256: sha256Of(file) });
          held = staged.stagingKey;
          return { filename, staged };
        },
      });
      if (received === undefined) throw new Fault('invalid', 'The form has no part "file".');
      // Its publisher must not believe that we keep it.
      if (fields.has(ATTESTATION)) throw new Fault('invalid', 'Attestations are not kept here: upload without one.');
      return received;
    } catch (error) {
      if (held !== undefined) await this.ports.blobs.delete(held);
      throw error;
    }
  }

  async #submit(request: IncomingMessage, channel: string, filename: string, staged: StagedBytes): Promise<void> {
    // Asked again: the body may have taken an hour, in which the token may have been revoked.
    const caller = await this.identify.require(request, ['packages'], 'repository');
    const { stagingKey, sha256, md5, sizeBytes } = staged;
    const replace = new URLSearchParams(arrivalOf(request).target.query).get('force') === 'true';
    const submitted = { kind: 'conda', basename: filename, stagingKey, sha256, md5, sizeBytes: BigInt(sizeBytes) };
    await this.#stages.submit({ ...submitted, channel, replace }, { ...caller.for('packages'), timeoutMs: SUBMIT_MS });
  }
}

function sha256Of(file: FormFile): string | undefined {
  const text = file.header('x-file-sha256');
  if (text === undefined || /^[0-9a-f]{64}$/i.test(text)) return text;
  throw new Fault('invalid', `"${text.slice(0, 80)}" in the header X-File-SHA256 is not a SHA-256.`);
}
