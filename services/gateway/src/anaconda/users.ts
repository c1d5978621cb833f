import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { administers } from '@vivarium/access/administer';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Organizations } from '@vivarium/contracts/gen/vivarium/authz/v1/organizations_pb';
import {
  type Account,
  Accounts,
  type FindAccountRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import { type Identified, Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { type Page, sendRows } from './json-stream.js';
import { loginIn } from './place.js';
import { accountShape } from './shapes.js';
import { Sight } from './sight.js';

/** Users and organizations, as far as the caller may know of them. */
@Controller('api')
export class Users {
  readonly #accounts: ClientOf<typeof Accounts>;
  readonly #memberships: ClientOf<typeof Organizations>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
    @Inject(Sight) private readonly sight: Sight,
  ) {
    this.#accounts = clientOf(Accounts, ports.bus);
    this.#memberships = clientOf(Organizations, ports.bus);
  }

  /** Needs no scope: whoever holds a token may learn whose it is. */
  @Get('user')
  async self(@Req() request: IncomingMessage) {
    const caller = await this.identify.require(request, ['identity']);
    return accountShape(await this.#find({ case: 'id', value: caller.caller.accountId }, caller), caller.caller);
  }

  /** The organizations of the caller. Before the accounts by login: nobody is called `orgs`. */
  @Get('user/orgs')
  async ownOrganizations(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    await this.identify.require(request, []);
    await sendRows(response, await this.#organizationsOf(request, ''));
  }

  @Get('user/:login')
  async find(@Req() request: IncomingMessage, @Param('login') text: string) {
    const { account, asker } = await this.#seen(request, text);
    const shape = accountShape(account, asker.caller);
    if (asker.caller === undefined) return shape;
    const visibility = await this.sight.defaultVisibility(request, account.login);
    return visibility === undefined ? shape : { ...shape, default_visibility: visibility };
  }

  /** Those organizations of a user that the caller may know of. */
  @Get('users/:login/orgs')
  async organizations(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param('login') text: string) {
    const { account } = await this.#seen(request, text);
    await sendRows(response, await this.#organizationsOf(request, account.login));
  }

  @Post('users')
  @HttpCode(201)
  async create(@Req() request: IncomingMessage) {
    const body = await readJson(request);
    const caller = await this.identify.require(request, ['identity']);
    const { account } = await this.#accounts.createUser(
      {
        login: body.needText('login'),
        email: body.text('email') ?? '',
        password: body.needText('password'),
        superuser: body.flag('superuser') ?? false,
        name: body.text('name') ?? '',
      },
      caller.for('identity'),
    );
    return account === undefined ? {} : accountShape(account, caller.caller);
  }

  async #organizationsOf(request: IncomingMessage, login: string, after = ''): Promise<Page<unknown>> {
    const caller = await this.identify.identify(request, ['authz']);
    const { accounts, next } = await this.#memberships.ofUser({ login, after, limit: 0 }, caller.for('authz'));
    return {
      rows: accounts.map((account) => accountShape(account, undefined)),
      next: next === '' ? undefined : () => this.#organizationsOf(request, login, next),
    };
  }

  async #seen(request: IncomingMessage, text: string): Promise<{ account: Account; asker: Identified }> {
    const asker = await this.identify.identify(request, ['identity']);
    const login = loginIn(text);
    const isKnown = asker.caller?.login === login || administers(callerFromProto(asker.caller), 'api:read');
    if (!isKnown) await this.sight.channel(request, login);
    return { account: await this.#find({ case: 'login', value: login }, asker), asker };
  }

  async #find(by: FindAccountRequest['by'], asker: Identified): Promise<Account> {
    const { account } = await this.#accounts.find({ by }, asker.for('identity'));
    if (account === undefined) throw new Fault('not_found', `There is no account "${by.value ?? ''}".`);
    return account;
  }
}
