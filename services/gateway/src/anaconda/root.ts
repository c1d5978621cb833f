import { Controller, Get, Inject } from '@nestjs/common';
import { SCOPES } from '@vivarium/access/scope';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';

/** What clients ask before they know anything, and so without looking at any credential. */
@Controller('api')
export class Root {
  constructor(@Inject(PORTS) private readonly ports: RolePorts) {}

  /** `HEAD` must be 200 without a redirect, or the client says that the server is unavailable; old conda reads `conda_url`. */
  @Get()
  root() {
    const { publicUrl } = this.ports.config;
    return { ok: 1, conda_url: `${publicUrl}/conda`, pypi_url: `${publicUrl}/pypi`, web_url: publicUrl };
  }

  @Get('authentication-type')
  authenticationType() {
    return { authentication_type: 'password' };
  }

  /** Sent without a token, but perhaps with what a `.netrc` holds. */
  @Get('scopes')
  scopes() {
    return SCOPES;
  }
}
