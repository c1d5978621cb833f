import type { ServerResponse } from 'node:http';
import { Controller, Get, Header, HttpCode, Inject, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { condaAddress, pypiAddress } from './addresses.js';
import { html } from './html.js';
import { sendPage } from './page.js';
import { STYLE } from './style.js';

/** What anybody may read, so that no credential is looked at: an old cookie must not close the first page. */
@Controller()
export class Home {
  readonly #publicUrl: string;

  constructor(@Inject(PORTS) ports: RolePorts) {
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get()
  home(@Res() response: ServerResponse) {
    sendPage(response, 'Conda and Python packages', firstPage(this.#publicUrl));
  }

  /** The `anaconda` client sends people here. */
  @Get('account/forgot_password')
  forgotPassword(@Res() response: ServerResponse) {
    const content = html`<p>Ask an administrator of this server for a new password. On the server it is set with:</p>
<pre>vivarium user reset-password LOGIN</pre>`;
    sendPage(response, 'Forgot your password?', content);
  }

  @Get('-/style.css')
  @Header('Content-Type', 'text/css; charset=utf-8')
  @Header('Cache-Control', 'private, max-age=3600')
  style() {
    return STYLE;
  }

  @Get('favicon.ico')
  @HttpCode(204)
  favicon() {}

  @Get('robots.txt')
  @Header('Content-Type', 'text/plain; charset=utf-8')
  robots() {
    return 'User-agent: *\nDisallow: /\n';
  }
}

function firstPage(publicUrl: string) {
  const open = { publicUrl, channel: 'CHANNEL', isOpen: true };
  const closed = { ...open, isOpen: false };
  return html`<p>This is Vivarium, a home for conda and Python packages. Packages are public until their owners make them
private; a token in the address opens private ones. In the lines below, put the name of a user or organization for CHANNEL,
and a token of your own for TOKEN. The page of a channel is at <code>${publicUrl}/CHANNEL</code>.</p>
<h2>Install</h2>
<pre>conda install --channel ${condaAddress(open)} PACKAGE
conda install --channel ${condaAddress(closed)} PACKAGE
pip install --index-url ${pypiAddress(open)} PACKAGE
pip install --index-url ${pypiAddress(closed)} PACKAGE</pre>
<h2 id="token">Sign in, and make a token</h2>
<pre>export ANACONDA_CLIENT_FORCE_STANDALONE=1 ANACONDA_CLIENT_LEGACY_INTERACTIVE_LOGIN=1
anaconda config --set url ${publicUrl}/api
anaconda login
anaconda auth --create --name downloads --scopes 'repos conda:download pypi:download'
anaconda auth --create --name pages --scopes 'api:read'
curl --header 'Authorization: token TOKEN' ${publicUrl}/CHANNEL</pre>
<p>The first token downloads, and nothing else; the second opens these pages and the API for reading.</p>
<h2>Upload</h2>
<pre>anaconda upload FILE
anaconda upload --label dev FILE
twine upload --repository-url ${publicUrl}/pypi/CHANNEL/legacy/ --username __token__ --password TOKEN FILE</pre>
<h2>Addresses</h2>
<table>
<tr><th scope="row">API</th><td><code>${publicUrl}/api</code></td></tr>
<tr><th scope="row">conda</th><td><code>${publicUrl}/conda/CHANNEL</code></td></tr>
<tr><th scope="row">Python</th><td><code>${publicUrl}/pypi/CHANNEL/simple</code></td></tr>
<tr><th scope="row">Python uploads</th><td><code>${publicUrl}/pypi/CHANNEL/legacy/</code></td></tr>
</table>
<h2>Read more</h2>
<p>README.md and the folder docs/ of the program's source lead through all of it; <code>vivarium --help</code> tells an
administrator what the server can be told.</p>`;
}
