import type { IncomingMessage } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { type Release, Releases as ReleasesContract } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type JsonBody, readJson } from './json-body.js';
import { type ReleaseParams, releaseIn } from './place.js';
import { releaseShape } from './shapes.js';

const CHANGE_MS = 30_000;
// How the client carries a release out, and nothing about it.
const NO_ATTRIBUTES: ReadonlySet<string> = new Set(['requirements', 'announce', 'public', 'publish', 'public_attrs']);

@Controller('api')
export class Releases {
  readonly #releases: ClientOf<typeof ReleasesContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#releases = clientOf(ReleasesContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get('release/:owner/:package/:version')
  async find(@Req() request: IncomingMessage, @Param() params: ReleaseParams) {
    const place = releaseIn(params);
    const caller = await this.identify.identify(request, ['packages']);
    const found = await this.#releases.find(place, caller.for('packages'));
    return this.#shape(found.release, place.channel, found.package?.name ?? place.package);
  }

  @Post('release/:owner/:package/:version')
  @HttpCode(200)
  async create(@Req() request: IncomingMessage, @Param() params: ReleaseParams) {
    const place = releaseIn(params);
    const attributesJson = attributesIn(await readJson(request));
    const caller = await this.identify.require(request, ['packages']);
    const { release } = await this.#releases.create({ ...place, attributesJson }, caller.for('packages'));
    return this.#shape(release, place.channel, place.package);
  }

  @Patch('release/:owner/:package/:version')
  async update(@Req() request: IncomingMessage, @Param() params: ReleaseParams) {
    const place = releaseIn(params);
    const attributesJson = attributesIn(await readJson(request));
    const caller = await this.identify.require(request, ['packages']);
    const { release } = await this.#releases.update({ ...place, attributesJson }, caller.for('packages'));
    return this.#shape(release, place.channel, place.package);
  }

  @Delete('release/:owner/:package/:version')
  @HttpCode(201)
  async delete(@Req() request: IncomingMessage, @Param() params: ReleaseParams) {
    const place = releaseIn(params);
    const caller = await this.identify.require(request, ['packages']);
    await this.#releases.delete(place, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    return {};
  }

  #shape(release: Release | undefined, channel: string, name: string) {
    if (release !== undefined) return releaseShape(release, channel, name, this.#publicUrl);
    throw new Fault('internal', 'Something went wrong on our side.', {
      cause: new Error('an answer without a release'),
    });
  }
}

/** Sent flat when a release is made, under `public_attrs` when it is changed, and either way by other clients. */
function attributesIn(body: JsonBody): string {
  const nested = body.object('public_attrs');
  if (nested !== undefined) return JSON.stringify(nested);
  return JSON.stringify(Object.fromEntries(Object.entries(body.values).filter(([name]) => !NO_ATTRIBUTES.has(name))));
}
