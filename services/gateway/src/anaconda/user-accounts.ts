import type { IncomingMessage } from 'node:http';
import { Controller, Get, HttpCode, Inject, Param, Patch, Post, Query, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Users } from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { type ListQuery, pageIn, textIn } from './list-query.js';
import { loginIn } from './place.js';
import { managedAccountShape, timeOf } from './shapes.js';

// What is changed here is answered when no gateway remembers what was before.
const CHANGE_MS = 15_000;

/** The accounts of people, for those who manage them, and each person's own. */
@Controller('api/users')
export class UserAccounts {
  readonly #users: ClientOf<typeof Users>;
  readonly #accounts: ClientOf<typeof Accounts>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#users = clientOf(Users, ports.bus);
    this.#accounts = clientOf(Accounts, ports.bus);
  }

  /** `q`: part of a login, name or e-mail address. */
  @Get()
  async list(@Req() request: IncomingMessage, @Query() query: ListQuery) {
    const asked = { ...pageIn(query), query: textIn(query, 'q') };
    const caller = await this.identify.require(request, ['identity']);
    const { accounts, next } = await this.#users.list(asked, caller.for('identity'));
    return { items: accounts.map(managedAccountShape), next: next === '' ? null : next };
  }

  @Get(':login')
  async describe(@Req() request: IncomingMessage, @Param('login') text: string) {
    const login = loginIn(text);
    const caller = await this.identify.require(request, ['identity']);
    const { account, tokens, sessions, lastSeenAtMs, passwordChangedAtMs } = await this.#users.describe(
      { login },
      caller.for('identity'),
    );
    return {
      ...(account === undefined ? {} : managedAccountShape(account)),
      tokens: Number(tokens),
      sessions: Number(sessions),
      last_seen: lastSeenAtMs === 0n ? null : timeOf(lastSeenAtMs),
      password_changed_at: passwordChangedAtMs === 0n ? null : timeOf(passwordChangedAtMs),
    };
  }

  @Patch(':login')
  async change(@Req() request: IncomingMessage, @Param('login') text: string) {
    const login = loginIn(text);
    const body = await readJson(request);
    const given = {
      disabled: body.flag('disabled'),
      superuser: body.flag('superuser'),
      name: body.text('name'),
      email: body.text('email'),
    };
    const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const caller = await this.identify.require(request, ['identity']);
    const options = { ...caller.for('identity'), timeoutMs: CHANGE_MS };
    const { account } = await this.#users.change({ login, ...present }, options);
    return account === undefined ? {} : managedAccountShape(account);
  }

  /** Without `password` one is made, for superusers, and given back this once. Oneself needs `old_password`. */
  @Post(':login/password')
  @HttpCode(200)
  async setPassword(@Req() request: IncomingMessage, @Param('login') text: string) {
    const login = loginIn(text);
    const body = await readJson(request);
    const [password, oldPassword] = [body.text('password') ?? '', body.text('old_password') ?? ''];
    const caller = await this.identify.require(request, ['identity']);
    // Whoever holds somebody's session must not be able to guess the password with it.
    if (oldPassword !== '') await this.identify.countTry(request, caller.caller.login);
    const options = { ...caller.for('identity'), timeoutMs: CHANGE_MS };
    const { password: made } = await this.#accounts.setPassword({ login, password, oldPassword }, options);
    return made === '' ? {} : { password: made };
  }
}
