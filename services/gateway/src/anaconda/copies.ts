import type { IncomingMessage } from 'node:http';
import { Controller, HttpCode, Inject, Param, Patch, Post, Put, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Copies as CopiesContract, Mode } from '@vivarium/contracts/gen/vivarium/packages/v1/copies_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { type FileParams, fileIn, loginIn, type ReleaseParams, releaseIn } from './place.js';
import { fileShape } from './shapes.js';

const CHANGE_MS = 30_000;

/** Copies of files to another channel or label: POST leaves alone what is there, PUT replaces it, PATCH adds what is missing. */
@Controller('api/copy/package/:owner/:package/:version')
export class Copies {
  readonly #copies: ClientOf<typeof CopiesContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#copies = clientOf(CopiesContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  // The client ends the path in a slash where it names no file; the router takes it off.
  @Post()
  @HttpCode(200)
  copyRelease(@Req() request: IncomingMessage, @Param() params: ReleaseParams) {
    return this.#copy(request, { ...releaseIn(params), basename: '' }, Mode.UNSPECIFIED);
  }

  @Put()
  replaceRelease(@Req() request: IncomingMessage, @Param() params: ReleaseParams) {
    return this.#copy(request, { ...releaseIn(params), basename: '' }, Mode.REPLACE);
  }

  @Patch()
  updateRelease(@Req() request: IncomingMessage, @Param() params: ReleaseParams) {
    return this.#copy(request, { ...releaseIn(params), basename: '' }, Mode.UPDATE);
  }

  @Post('*basename')
  @HttpCode(200)
  copyFile(@Req() request: IncomingMessage, @Param() params: FileParams) {
    return this.#copy(request, fileIn(params), Mode.UNSPECIFIED);
  }

  @Put('*basename')
  replaceFile(@Req() request: IncomingMessage, @Param() params: FileParams) {
    return this.#copy(request, fileIn(params), Mode.REPLACE);
  }

  @Patch('*basename')
  updateFile(@Req() request: IncomingMessage, @Param() params: FileParams) {
    return this.#copy(request, fileIn(params), Mode.UPDATE);
  }

  async #copy(request: IncomingMessage, place: ReturnType<typeof fileIn>, mode: Mode) {
    const body = await readJson(request);
    const to = body.text('to_owner');
    const asked = {
      ...place,
      mode,
      toChannel: to === undefined ? '' : loginIn(to),
      fromLabel: body.text('from_channel') ?? '',
      toLabel: body.text('to_channel') ?? '',
    };
    const caller = await this.identify.require(request, ['packages']);
    const { files } = await this.#copies.copy(asked, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    const channel = asked.toChannel === '' ? caller.caller.login : asked.toChannel;
    return files.map((file) => fileShape(file, channel, this.#publicUrl));
  }
}
