import type { IncomingMessage } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { arrivalOf } from '../arrival.js';
import { Identify } from '../identify.js';
import { type JsonBody, readJson } from './json-body.js';
import { loginIn } from './place.js';
import { tokenShape } from './shapes.js';

// Replacing and revoking answer when no gateway remembers the token.
const REVOKE_MS = 15_000;

/** Tokens, as the `anaconda` client calls them. */
@Controller('api')
export class Authentications {
  readonly #tokens: ClientOf<typeof Tokens>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#tokens = clientOf(Tokens, ports.bus);
  }

  @Post('authentications')
  @HttpCode(200)
  async create(@Req() request: IncomingMessage) {
    // The body first: the proof of who asks is good for seconds, and a body may be slow.
    const body = await readJson(request);
    refuseRestrictions(body);
    const asked = tokenAskedFor(body);
    const caller = await this.identify.require(request, ['identity'], 'login');
    const { address } = arrivalOf(request);
    const options = { ...caller.for('identity'), timeoutMs: REVOKE_MS };
    try {
      const { token, described } = await this.#tokens.create({ ...asked, address: address ?? '' }, options);
      return { ...(described === undefined ? {} : tokenShape(described)), token };
    } catch (error) {
      // The client asks whether to replace a token of that name, after exactly this status.
      if (isFault(error) && error.code === 'conflict') throw new Fault('invalid', error.message);
      throw error;
    }
  }

  @Get('authentications')
  async list(@Req() request: IncomingMessage) {
    const caller = await this.identify.require(request, ['identity']);
    const { tokens } = await this.#tokens.list({}, caller.for('identity'));
    return tokens.map(tokenShape);
  }

  @Get('authentication')
  async describe(@Req() request: IncomingMessage) {
    const caller = await this.identify.require(request, ['identity']);
    const { token } = await this.#tokens.describe({}, caller.for('identity'));
    return token === undefined ? {} : tokenShape(token);
  }

  @Delete('authentications')
  @HttpCode(201)
  async revokePresented(@Req() request: IncomingMessage) {
    return this.#revoke(request, { case: 'presented', value: true }, '');
  }

  @Delete('authentications/name/*name')
  @HttpCode(201)
  async revokeNamed(@Req() request: IncomingMessage, @Param('name') name: readonly string[]) {
    return this.#revoke(request, { case: 'name', value: name.join('/') }, '');
  }

  @Delete('authentications/org/:organization/name/*name')
  @HttpCode(201)
  async revokeOfOrganization(
    @Req() request: IncomingMessage,
    @Param('organization') organization: string,
    @Param('name') name: readonly string[],
  ) {
    return this.#revoke(request, { case: 'name', value: name.join('/') }, loginIn(organization));
  }

  async #revoke(
    request: IncomingMessage,
    which: { case: 'presented'; value: boolean } | { case: 'name'; value: string },
    organization: string,
  ) {
    const caller = await this.identify.require(request, ['identity']);
    await this.#tokens.revoke({ which, owner: organization }, { ...caller.for('identity'), timeoutMs: REVOKE_MS });
    return {};
  }
}

function tokenAskedFor(body: JsonBody) {
  const seconds = body.wholeNumber('max-age');
  return {
    name: body.text('note') ?? '',
    scopes: body.texts('scopes') ?? [],
    organization: body.text('user') ?? '',
    ...(seconds === undefined ? {} : { maxAgeSeconds: BigInt(seconds) }),
    failIfExists: body.flag('fail-if-exists') ?? true,
    hostname: body.text('hostname') ?? '',
    url: body.text('note_url') ?? '',
  };
}

/** Nobody who asks for a narrow token may be handed a wide one without being told. Throws Fault('invalid'). */
function refuseRestrictions(body: Awaited<ReturnType<typeof readJson>>): void {
  if (body.object('restrict') === undefined) return;
  throw new Fault(
    'invalid',
    'This version makes no tokens with restrictions ("restrict"). Ask without, with narrow scopes.',
  );
}
