import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Req, Res } from '@nestjs/common';
import { isVisibility } from '@vivarium/access/audience';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import {
  type File,
  type Package,
  Packages as PackagesContract,
} from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type JsonBody, readJson } from './json-body.js';
import { type Page, sendRows } from './json-stream.js';
import { loginIn, type PackageParams, packageIn } from './place.js';
import { fileShape, packageShape } from './shapes.js';

const PAGE = 500;
// A change of who may read answers when every gateway has it.
const CHANGE_MS = 30_000;

@Controller('api')
export class Packages {
  readonly #packages: ClientOf<typeof PackagesContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#packages = clientOf(PackagesContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get('packages')
  async listOwn(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    const { caller } = await this.identify.require(request, []);
    await sendRows(response, await this.#rows(request, caller.login));
  }

  @Get('packages/:owner')
  async list(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param('owner') owner: string) {
    await sendRows(response, await this.#rows(request, loginIn(owner)));
  }

  @Get('package/:owner/:package')
  async find(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param() params: PackageParams) {
    const { head, files } = await this.#withFiles(request, params);
    const shape = JSON.stringify(packageShape(head, this.#publicUrl));
    await sendRows(response, files, { before: `${shape.slice(0, -1)},"files":`, after: '}' });
  }

  @Get('package/:owner/:package/files')
  async files(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param() params: PackageParams) {
    const { files } = await this.#withFiles(request, params);
    await sendRows(response, files);
  }

  @Post('package/:owner/:package')
  @HttpCode(200)
  async create(@Req() request: IncomingMessage, @Param() params: PackageParams) {
    const { channel, package: name } = packageIn(params);
    const body = await readJson(request);
    const caller = await this.identify.require(request, ['packages']);
    const asked = { channel, name, visibility: visibilityAtCreation(body), attributesJson: attributesIn(body) };
    const { package: made } = await this.#packages.create(asked, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    return packageShape(present(made), this.#publicUrl);
  }

  /** The client's `public` is ignored: it says `true` whenever nobody told it otherwise. Only `visibility` publishes. */
  @Patch('package/:owner/:package')
  async update(@Req() request: IncomingMessage, @Param() params: PackageParams) {
    const { channel, package: name } = packageIn(params);
    const body = await readJson(request);
    const caller = await this.identify.require(request, ['packages']);
    const asked = { channel, name, visibility: visibilityIn(body), attributesJson: attributesIn(body) };
    const updated = await this.#packages.update(asked, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    const shape = packageShape(present(updated.package), this.#publicUrl);
    return { ...shape, index: updated.readable ? 'ready' : 'pending' };
  }

  @Delete('package/:owner/:package')
  @HttpCode(201)
  async delete(@Req() request: IncomingMessage, @Param() params: PackageParams) {
    const { channel, package: name } = packageIn(params);
    const caller = await this.identify.require(request, ['packages']);
    await this.#packages.delete({ channel, name }, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    return {};
  }

  async #rows(request: IncomingMessage, channel: string, after = ''): Promise<Page<unknown>> {
    // Asked anew for each page: a listing may be read for longer than the proof of who asks is good.
    const caller = await this.identify.identify(request, ['packages']);
    const { packages, more } = await this.#packages.list({ channel, after, limit: PAGE }, caller.for('packages'));
    const last = packages.at(-1);
    return {
      rows: packages.map((each) => packageShape(each, this.#publicUrl)),
      next: more && last !== undefined ? () => this.#rows(request, channel, last.name) : undefined,
    };
  }

  async #withFiles(request: IncomingMessage, params: PackageParams) {
    const { channel, package: name } = packageIn(params);
    const page = async (afterFile: string) => {
      const caller = await this.identify.identify(request, ['packages']);
      const asked = { channel, name, withFiles: true, afterFile };
      const found = await this.#packages.find(asked, caller.for('packages'));
      return { head: present(found.package), more: found.moreFiles };
    };
    const rowsOf = ({ head, more }: { head: Package; more: boolean }): Page<unknown> => {
      const last: File | undefined = head.files.at(-1);
      const next = more && last !== undefined ? async () => rowsOf(await page(last.id)) : undefined;
      return { rows: head.files.map((file) => fileShape(file, head.channel, this.#publicUrl)), next };
    };
    const first = await page('');
    return { head: first.head, files: rowsOf(first) };
  }
}

/** `public: true` is the channel's default, whatever that is; `false` is private; our own word says it plainly. */
function visibilityAtCreation(body: JsonBody): string {
  const said = visibilityIn(body);
  if (said !== '') return said;
  return body.flag('public') === false ? 'private' : '';
}

function visibilityIn(body: JsonBody): string {
  const said = body.text('visibility');
  if (said === undefined || isVisibility(said)) return said ?? '';
  throw new Fault('invalid', `"${said.slice(0, 40)}" is no visibility: use public, authenticated or private.`);
}

function attributesIn(body: JsonBody): string {
  const attributes = body.object('public_attrs');
  return attributes === undefined ? '' : JSON.stringify(attributes);
}

function present(found: Package | undefined): Package {
  if (found !== undefined) return found;
  throw new Fault('internal', 'Something went wrong on our side.', { cause: new Error('an answer without a package') });
}
