import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Labels as LabelsContract } from '@vivarium/contracts/gen/vivarium/packages/v1/labels_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { type Page, sendRows } from './json-stream.js';
import { loginIn } from './place.js';
import { fileShape } from './shapes.js';

// A change answers when every index and gateway shows it.
const CHANGE_MS = 30_000;

type Rest = readonly string[];

/**
 * Labels, which the `anaconda` client calls channels. A label may hold slashes, so that paths are read from the right: no
 * label has a segment `lock` or `copy`.
 */
@Controller('api/channels/:owner')
export class Labels {
  readonly #labels: ClientOf<typeof LabelsContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#labels = clientOf(LabelsContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get()
  async list(@Req() request: IncomingMessage, @Param('owner') owner: string) {
    const channel = loginIn(owner);
    const caller = await this.identify.identify(request, ['packages']);
    const { labels } = await this.#labels.list({ channel }, caller.for('packages'));
    const rows = labels.map(({ name, locked, files }) => [name, { is_locked: locked, count: Number(files) }] as const);
    return Object.fromEntries(rows);
  }

  @Get('*label')
  async show(
    @Req() request: IncomingMessage,
    @Res() response: ServerResponse,
    @Param('owner') owner: string,
    @Param('label') rest: Rest,
  ) {
    const asked = { channel: loginIn(owner), label: rest.join('/') };
    const page = async (afterFile: string) => {
      const caller = await this.identify.identify(request, ['packages']);
      return this.#labels.show({ ...asked, afterFile }, caller.for('packages'));
    };
    const rowsOf = ({ files, more }: Awaited<ReturnType<typeof page>>): Page<unknown> => {
      const last = files.at(-1);
      const next = more && last !== undefined ? async () => rowsOf(await page(last.id)) : undefined;
      return { rows: files.map((file) => fileShape(file, asked.channel, this.#publicUrl)), next };
    };
    const first = await page('');
    const before = `{"label":${JSON.stringify(asked.label.toLowerCase())},"is_locked":${first.locked},"files":`;
    await sendRows(response, rowsOf(first), { before, after: '}' });
  }

  @Post('*label')
  @HttpCode(201)
  async change(@Req() request: IncomingMessage, @Param('owner') owner: string, @Param('label') rest: Rest) {
    const channel = loginIn(owner);
    const asked = await placeIn(request);
    const caller = await this.identify.require(request, ['packages']);
    const options = { ...caller.for('packages'), timeoutMs: CHANGE_MS };
    const at = rest.indexOf('copy');
    if (at >= 0) {
      const [label, to] = [rest.slice(0, at).join('/'), rest.slice(at + 1).join('/')];
      return doneShape(await this.#labels.copy({ channel, label, to }, options));
    }
    if (rest.at(-1) !== 'lock')
      return doneShape(await this.#labels.add({ ...asked, channel, label: rest.join('/') }, options));
    await this.#labels.lock({ channel, label: labelBefore(rest), locked: true }, options);
    return {};
  }

  @Delete('*label')
  @HttpCode(201)
  async remove(@Req() request: IncomingMessage, @Param('owner') owner: string, @Param('label') rest: Rest) {
    const channel = loginIn(owner);
    const asked = await placeIn(request);
    const caller = await this.identify.require(request, ['packages']);
    const options = { ...caller.for('packages'), timeoutMs: CHANGE_MS };
    if (rest.at(-1) !== 'lock')
      return doneShape(await this.#labels.remove({ ...asked, channel, label: rest.join('/') }, options));
    await this.#labels.lock({ channel, label: labelBefore(rest), locked: false }, options);
    return {};
  }
}

function labelBefore(rest: Rest): string {
  if (rest.length > 1) return rest.slice(0, -1).join('/');
  throw new Fault('invalid', 'No label can be named "lock": name the label before it.');
}

async function placeIn(request: IncomingMessage) {
  const body = await readJson(request);
  const [name, version, basename] = [
    body.text('package') ?? '',
    body.text('version') ?? '',
    body.text('basename') ?? '',
  ];
  if (name === '' && (version !== '' || basename !== ''))
    throw new Fault('invalid', '"package" is missing in the body.');
  if (version === '' && basename !== '') throw new Fault('invalid', '"version" is missing in the body.');
  return { package: name, version, basename };
}

function doneShape({ files, readable }: { readonly files: bigint; readonly readable: boolean }) {
  return { files: Number(files), index: readable ? 'ready' : 'pending' };
}
