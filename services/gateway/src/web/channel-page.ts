import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Inject, Param, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { type Package, Packages as PackagesContract } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { loginIn } from '../anaconda/place.js';
import { Identify } from '../identify.js';
import { condaAddress, pypiAddress } from './addresses.js';
import { html } from './html.js';
import { sendPage } from './page.js';
import { afterIn } from './visit.js';

const ROWS = 100;

/** The packages of a channel that the visitor may see. */
@Controller()
export class ChannelPage {
  readonly #packages: ClientOf<typeof PackagesContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#packages = clientOf(PackagesContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get(':channel')
  async show(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param('channel') text: string) {
    const after = afterIn(request);
    const channel = loginIn(text);
    const caller = await this.identify.identify(request, ['packages']);
    const { packages, more } = await this.#packages.list({ channel, after, limit: ROWS }, caller.for('packages'));
    // Who is signed in may see here what only a token opens to conda and pip.
    const source = { publicUrl: this.#publicUrl, channel, isOpen: caller.caller === undefined };
    sendPage(
      response,
      channel,
      html`<pre>conda config --add channels ${condaAddress(source)}
pip install --index-url ${pypiAddress(source)} PACKAGE</pre>
<h2>Packages</h2>
${packages.length === 0 ? html`<p>There are no packages here that you may see.</p>` : tableOf(packages)}
${more ? html`<p><a rel="next" href="/${channel}?after=${nextOf(packages)}">More packages</a></p>` : ''}`,
    );
  }
}

function tableOf(packages: readonly Package[]) {
  return html`<table>
<tr><th scope="col">Name</th><th scope="col">Version</th><th scope="col">Kind</th><th scope="col">Access</th><th scope="col">Summary</th></tr>
${packages.map(
  ({ channel, name, latestVersion, kinds, visibility, summary }) =>
    html`<tr><td><a href="/${channel}/${encodeURIComponent(name)}">${name}</a></td><td>${latestVersion}</td><td>${kinds.join(', ')}</td><td><span class="badge">${visibility}</span></td><td>${summary}</td></tr>\n`,
)}</table>`;
}

function nextOf(packages: readonly Package[]): string {
  return encodeURIComponent(packages.at(-1)?.name ?? '');
}
