import type { IncomingMessage } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Patch, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { type RevokeTokenRequest, Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { loginIn } from './place.js';
import { tokenShape } from './shapes.js';

// Revoking answers when no gateway remembers the token.
const REVOKE_MS = 15_000;

/** Tokens by their ids: one's own, those of organizations for their owners, everybody's for superusers. */
@Controller('api')
export class TokensOfAccounts {
  readonly #tokens: ClientOf<typeof Tokens>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#tokens = clientOf(Tokens, ports.bus);
  }

  @Get('users/:login/tokens')
  async list(@Req() request: IncomingMessage, @Param('login') text: string) {
    const owner = loginIn(text);
    const caller = await this.identify.require(request, ['identity']);
    const { tokens } = await this.#tokens.list({ owner }, caller.for('identity'));
    // No account has more than fit into one answer.
    return { items: tokens.map(tokenShape), next: null };
  }

  @Delete('users/:login/tokens')
  @HttpCode(200)
  async revokeAll(@Req() request: IncomingMessage, @Param('login') text: string) {
    return this.#revoke(request, { case: 'all', value: true }, loginIn(text));
  }

  @Patch('tokens/:id')
  async rename(@Req() request: IncomingMessage, @Param('id') id: string) {
    const name = (await readJson(request)).needText('name');
    const caller = await this.identify.require(request, ['identity']);
    const { token } = await this.#tokens.rename({ id, name }, caller.for('identity'));
    return token === undefined ? {} : tokenShape(token);
  }

  @Delete('tokens/:id')
  @HttpCode(200)
  async revoke(@Req() request: IncomingMessage, @Param('id') id: string) {
    return this.#revoke(request, { case: 'id', value: id }, '');
  }

  async #revoke(request: IncomingMessage, which: RevokeTokenRequest['which'], owner: string) {
    const caller = await this.identify.require(request, ['identity']);
    const options = { ...caller.for('identity'), timeoutMs: REVOKE_MS };
    const { revoked } = await this.#tokens.revoke({ which, owner }, options);
    return { revoked: Number(revoked) };
  }
}
