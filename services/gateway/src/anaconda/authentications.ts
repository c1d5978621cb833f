import type { IncomingMessage } from 'node:http';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import type { RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { type RevokeTokenRequest, Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { callerFromProto, restrictionsToProto } from '@vivarium/trust/caller';
import { arrivalOf } from '../arrival.js';
import { Identify, type Known } from '../identify.js';
import { type JsonBody, readJson } from './json-body.js';
import { type ListQuery, textIn } from './list-query.js';
import { isLogin, loginIn } from './place.js';
import { type AskedRestrictions, restrictIn } from './restrict.js';
import { tokenShape } from './shapes.js';
import { Sight } from './sight.js';

// Replacing and revoking answer when no gateway remembers the token.
const REVOKE_MS = 15_000;

/** Tokens, as the `anaconda` client calls them. */
@Controller('api')
export class Authentications {
  readonly #tokens: ClientOf<typeof Tokens>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
    @Inject(Sight) private readonly sight: Sight,
  ) {
    this.#tokens = clientOf(Tokens, ports.bus);
  }

  @Post('authentications')
  @HttpCode(200)
  async create(@Req() request: IncomingMessage) {
    // The body first: the proof of who asks is good for seconds, and a body may be slow.
    const body = await readJson(request);
    const [asked, restrict] = [tokenAskedFor(body), restrictIn(body)];
    const caller = await this.identify.require(request, ['identity'], 'login');
    const { address } = arrivalOf(request);
    const restrictions = await this.#restrictionsOf(restrict, caller, address);
    const uses = restrict?.uses === undefined ? {} : { uses: BigInt(restrict.uses) };
    const options = { ...caller.for('identity'), timeoutMs: REVOKE_MS };
    try {
      const { token, described } = await this.#tokens.create(
        { ...asked, ...uses, restrictions, address: address ?? '' },
        options,
      );
      return { ...(described === undefined ? {} : tokenShape(described)), token };
    } catch (error) {
      // The client asks whether to replace a token of that name, after exactly this status.
      if (isFault(error) && error.code === 'conflict') throw new Fault('invalid', error.message);
      throw error;
    }
  }

  /** The client never names an organization here, and expects an array. */
  @Get('authentications')
  async list(@Req() request: IncomingMessage, @Query() query: ListQuery) {
    const organization = textIn(query, 'org');
    return this.#list(request, organization === '' ? '' : loginIn(organization));
  }

  @Get('authentications/org/:organization')
  async listOfOrganization(@Req() request: IncomingMessage, @Param('organization') organization: string) {
    return this.#list(request, loginIn(organization));
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

  /** Every token of the account, the presented one too. */
  @Delete('authentications/all')
  @HttpCode(201)
  async revokeAll(@Req() request: IncomingMessage) {
    return this.#revoke(request, { case: 'all', value: true }, '');
  }

  @Delete('authentications/org/:organization/all')
  @HttpCode(201)
  async revokeAllOfOrganization(@Req() request: IncomingMessage, @Param('organization') organization: string) {
    return this.#revoke(request, { case: 'all', value: true }, loginIn(organization));
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

  async #list(request: IncomingMessage, owner: string) {
    const caller = await this.identify.require(request, ['identity']);
    const { tokens } = await this.#tokens.list({ owner }, caller.for('identity'));
    return tokens.map(tokenShape);
  }

  async #revoke(request: IncomingMessage, which: RevokeTokenRequest['which'], owner: string) {
    const caller = await this.identify.require(request, ['identity']);
    const options = { ...caller.for('identity'), timeoutMs: REVOKE_MS };
    const { revoked } = await this.#tokens.revoke({ which, owner }, options);
    return { revoked: Number(revoked) };
  }

  /** With channels by their ids. Throws Fault('invalid') for one that the caller may not know of, as for a missing one. */
  async #restrictionsOf(
    asked: AskedRestrictions | undefined,
    { caller }: Known,
    address: string | undefined,
  ): Promise<MessageInitShape<typeof RestrictionsSchema>> {
    if (asked === undefined) return {};
    const channels: string[] = [];
    for (const login of asked.channels) {
      const id = isLogin(login) ? await this.sight.channelIdFor(callerFromProto(caller), login, address) : undefined;
      if (id === undefined) {
        throw new Fault(
          'invalid',
          `"restrict": there is no channel "${login.slice(0, 64)}", or you may not see it; name a user or an organization`,
        );
      }
      channels.push(id);
    }
    return restrictionsToProto({ ...asked.restrictions, ...(channels.length === 0 ? {} : { channels }) });
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
