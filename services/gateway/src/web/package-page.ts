import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Inject, Param, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import {
  type File,
  type Package,
  Packages as PackagesContract,
} from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { type PackageParams, packageIn } from '../anaconda/place.js';
import { Identify } from '../identify.js';
import { condaAddress, pypiAddress } from './addresses.js';
import { html, type Markup } from './html.js';
import { sendPage } from './page.js';
import { afterIn } from './visit.js';

const VERSIONS = 100;

/** One package: how to install it, its versions, its files. */
@Controller()
export class PackagePage {
  readonly #packages: ClientOf<typeof PackagesContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#packages = clientOf(PackagesContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get(':owner/:package')
  async show(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param() params: PackageParams) {
    const afterFile = afterIn(request);
    const { channel, package: name } = packageIn(params);
    const caller = await this.identify.identify(request, ['packages']);
    // One call, whatever is there: what is hidden must cost what is missing costs.
    const asked = { channel, name, withFiles: true, afterFile };
    const { package: found, moreFiles } = await this.#packages.find(asked, caller.for('packages'));
    if (found === undefined) {
      const cause = new Error('an answer without a package');
      throw new Fault('internal', 'Something went wrong on our side.', { cause });
    }
    sendPage(response, `${found.channel}/${found.name}`, contentOf(found, moreFiles, this.#publicUrl));
  }
}

function contentOf(found: Package, moreFiles: boolean, publicUrl: string): Markup {
  const { channel, name, summary, visibility, files } = found;
  const lines = installLines(found, publicUrl);
  const next = `/${channel}/${encodeURIComponent(name)}?after=${encodeURIComponent(files.at(-1)?.id ?? '')}`;
  return html`<p>${summary}</p>
<p><span class="badge">${visibility}</span> in the channel <a href="/${channel}">${channel}</a></p>
${lines.length === 0 ? '' : html`<h2>Install</h2>\n<pre>${lines.join('\n')}</pre>`}
<h2>Versions</h2>
${versionsOf(found)}
<h2>Files</h2>
${files.length === 0 ? html`<p>There are no files here.</p>` : tableOf(found)}
${moreFiles ? html`<p><a rel="next" href="${next}">More files</a></p>` : ''}`;
}

function installLines({ channel, name, visibility, files, kinds }: Package, publicUrl: string): string[] {
  const sourceOf = (kind: string) => {
    const labels = files.filter((file) => file.kind === kind).map((file) => file.labels);
    // What is not on main is not at the channel's bare address.
    const label = labels.some((each) => each.includes('main'))
      ? 'main'
      : labels.findLast((each) => each.length > 0)?.[0];
    return { publicUrl, channel, isOpen: visibility === 'public', label };
  };
  return [
    ...(kinds.includes('conda') ? [`conda install --channel ${condaAddress(sourceOf('conda'))} ${name}`] : []),
    ...(kinds.includes('pypi') ? [`pip install --index-url ${pypiAddress(sourceOf('pypi'))} ${name}`] : []),
  ];
}

function versionsOf({ versions }: Package): Markup {
  const newest = versions.toReversed();
  const older = newest.length - VERSIONS;
  return html`<p>${newest.slice(0, VERSIONS).join(', ')}${older > 0 ? ` and ${older} older ones` : ''}</p>`;
}

function tableOf({ channel, files, versions }: Package): Markup {
  const ages = new Map(versions.map((version, age) => [version, age]));
  const ageOf = ({ version }: File) => ages.get(version) ?? -1;
  return html`<table>
<tr><th scope="col">Version</th><th scope="col">File</th><th scope="col">Size</th><th scope="col">Uploaded</th><th scope="col">Labels</th><th scope="col">SHA-256</th></tr>
${files
  .toSorted((one, other) => ageOf(other) - ageOf(one))
  .map(
    (file) =>
      html`<tr><td>${file.version}</td><td><a href="${downloadOf(channel, file)}">${file.basename}</a></td><td>${sizeOf(file.sizeBytes)}</td><td>${dayOf(file.uploadedAtMs)}</td><td>${file.labels.join(', ')}</td><td><code>${file.sha256}</code></td></tr>\n`,
  )}</table>`;
}

function downloadOf(channel: string, file: File): string {
  const place = [channel, file.package, file.version, ...file.basename.split('/')];
  return `/api/download/${place.map(encodeURIComponent).join('/')}`;
}

function sizeOf(sizeBytes: bigint): string {
  const size = Number(sizeBytes);
  const power = Math.min(4, Math.floor(Math.log10(Math.max(size, 1)) / 3));
  return power === 0 ? `${size} B` : `${(size / 1_000 ** power).toFixed(1)} ${'kMGT'.charAt(power - 1)}B`;
}

function dayOf(ms: bigint): string {
  return new Date(Number(ms)).toISOString().slice(0, 10);
}
