import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { type BlobPorts, PORTS, type RolePorts } from '@vivarium/boot/ports';
import { reached } from '@vivarium/boot/step';
import { type ExpectResponse, Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { deriveKey } from '@vivarium/token/secret';
import { openTicket } from '@vivarium/token/ticket';
import { isRefusal } from './refusal.js';
import { type Announced, type StagedBytes, stageBytes } from './uploads-bytes.js';
import { drain } from './uploads-drain.js';
import { readForm } from './uploads-form.js';

const FIELDS: ReadonlySet<string> = new Set(['Content-Length', 'Content-MD5']);
const MAX_FIELDS = 100;

/**
 * Takes the bytes of a stage. The ticket in the path is the only credential that is read: clients add to this request what
 * they find in a `.netrc`, or the token of an older session.
 */
@Controller('api/-/upload')
export class Uploads {
  readonly #stages: ClientOf<typeof Stages>;
  readonly #key: Uint8Array;

  constructor(@Inject(PORTS) private readonly ports: RolePorts & BlobPorts) {
    this.#stages = clientOf(Stages, ports.bus);
    this.#key = deriveKey(ports.config.secret, 'upload tickets');
  }

  @Post(':ticket')
  async receive(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param('ticket') ticket: string) {
    const stageId = openTicket(ticket, this.#key);
    const expected = await this.#stages.expect({ stageId }, await this.#asGateway());
    const staged = await this.#stage(request, expected);
    await reached('receive-bytes');
    try {
      const { stagingKey, sha256, md5, sizeBytes } = staged;
      const received = { stageId, stagingKey, sha256, md5, sizeBytes: BigInt(sizeBytes) };
      await this.#stages.receive(received, await this.#asGateway());
    } catch (error) {
      // Where no answer came, the stage may name these bytes by now, and its commit needs them; if not, they are swept as strays.
      if (isRefusal(error)) await this.ports.blobs.delete(staged.stagingKey);
      throw error;
    }
    sendCreated(response, staged);
    drain(request);
  }

  async #stage(request: IncomingMessage, { sha256, maxBytes }: ExpectResponse): Promise<StagedBytes> {
    const limit = Math.min(Number(maxBytes), this.ports.config.maxUploadBytes);
    const { received } = await readForm(request, {
      filePart: 'file',
      fields: FIELDS,
      maxFields: MAX_FIELDS,
      maxBytes: limit,
      receive: ({ chunks }, fields) =>
        stageBytes(this.ports.blobs, chunks, {
          ...announcedIn(fields),
          maxBytes: limit,
          sha256: sha256 === '' ? undefined : sha256,
        }),
    });
    if (received === undefined) throw new Fault('invalid', 'The form has no part "file", which holds the bytes.');
    return received;
  }

  async #asGateway() {
    return { assertion: await this.ports.trust.assertionFor('packages') };
  }
}

/** The fields come before the file: `Content-Length` in digits, `Content-MD5` in base64. */
function announcedIn(fields: ReadonlyMap<string, string>): Pick<Announced, 'sizeBytes' | 'md5'> {
  const [length, md5] = [fields.get('Content-Length'), fields.get('Content-MD5')];
  if (length !== undefined && !/^\d{1,15}$/.test(length)) {
    throw new Fault('invalid', 'The part Content-Length must be the size of the file in bytes.');
  }
  if (md5 !== undefined && !/^[A-Za-z0-9+/]{22}==$/.test(md5)) {
    throw new Fault('invalid', 'The part Content-MD5 must be the MD5 of the file in base64.');
  }
  return {
    sizeBytes: length === undefined ? undefined : Number(length),
    md5: md5 === undefined ? undefined : Buffer.from(md5, 'base64').toString('hex'),
  };
}

/** As an object store answers a form: clients look at the status only. */
function sendCreated(response: ServerResponse, { md5, sha256 }: StagedBytes): void {
  const body = `<PostResponse><ETag>"${md5}"</ETag><Sha256>${sha256}</Sha256></PostResponse>`;
  response.writeHead(201, { 'Content-Type': 'application/xml', 'Content-Length': String(Buffer.byteLength(body)) });
  response.end(body);
}
