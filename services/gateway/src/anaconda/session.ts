import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Sessions } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { arrivalOf } from '../arrival.js';
import { Identify } from '../identify.js';
import { sessionCookie } from '../session-cookie.js';
import { readOwnJson } from './forgery.js';
import { timeOf } from './shapes.js';

/** The session of a browser: a cookie that scripts cannot read and other sites cannot make it send with a change. */
@Controller('api')
export class Session {
  readonly #sessions: ClientOf<typeof Sessions>;

  constructor(
    @Inject(PORTS) private readonly ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#sessions = clientOf(Sessions, ports.bus);
  }

  @Post('session')
  @HttpCode(200)
  async open(@Req() request: IncomingMessage, @Res({ passthrough: true }) response: ServerResponse) {
    const { address } = arrivalOf(request);
    const body = await readPassword(request, this.ports.config.publicUrl);
    const caller = await this.identify.byPassword(request, body, ['identity']);
    const agent = request.headers['user-agent'] ?? '';
    const opened = await this.#sessions.open({ address: address ?? '', userAgent: agent }, caller.for('identity'));
    const lifeMs = Number(opened.expiresAtMs) - this.ports.clock();
    response.setHeader('Set-Cookie', this.#cookie(opened.secret, Math.max(0, Math.floor(lifeMs / 1_000))));
    return { login: caller.caller.login, expires: timeOf(opened.expiresAtMs) };
  }

  @Delete('session')
  @HttpCode(204)
  async close(@Req() request: IncomingMessage, @Res({ passthrough: true }) response: ServerResponse) {
    const caller = await this.identify.require(request, ['identity']);
    await this.#sessions.close({}, { ...caller.for('identity'), timeoutMs: 15_000 });
    response.setHeader('Set-Cookie', this.#cookie('', 0));
  }

  /** The sessions of the account, the youngest first. */
  @Get('sessions')
  async list(@Req() request: IncomingMessage) {
    const caller = await this.identify.require(request, ['identity']);
    const { sessions } = await this.#sessions.list({}, caller.for('identity'));
    const items = sessions.map((each) => ({
      id: each.id,
      current: each.presented,
      created_at: timeOf(each.createdAtMs),
      last_used: timeOf(each.lastUsedAtMs),
      expires: timeOf(each.expiresAtMs),
      remote_addr: each.address,
      user_agent: each.userAgent,
    }));
    return { items, next: null };
  }

  @Delete('sessions/:id')
  @HttpCode(204)
  async end(@Req() request: IncomingMessage, @Param('id') id: string) {
    await this.#end(request, id);
  }

  /** The presented one too. */
  @Delete('sessions')
  @HttpCode(204)
  async endAll(@Req() request: IncomingMessage) {
    await this.#end(request, '');
  }

  async #end(request: IncomingMessage, id: string): Promise<void> {
    const caller = await this.identify.require(request, ['identity']);
    await this.#sessions.end({ id }, { ...caller.for('identity'), timeoutMs: 15_000 });
  }

  #cookie(value: string, maxAgeSeconds: number): string {
    return sessionCookie(this.ports.config.publicUrl, value, maxAgeSeconds);
  }
}

async function readPassword(request: IncomingMessage, publicUrl: string) {
  const body = await readOwnJson(request, publicUrl);
  return { kind: 'password', login: body.needText('login'), password: body.needText('password') } as const;
}
