import type { IncomingMessage } from 'node:http';
import { Controller, Delete, HttpCode, Inject, Param, Patch, Post, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Organizations as OrganizationsContract } from '@vivarium/contracts/gen/vivarium/authz/v1/organizations_pb';
import type { Account } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { loginIn } from './place.js';
import { accountShape } from './shapes.js';

// Answers when every gateway has heard of it.
const CHANGE_MS = 20_000;
// All of a large channel goes at once.
const DELETE_MS = 180_000;

/** Organizations, as their owners manage them. `GET /api/user/<login>` shows them as any account. */
@Controller('api/organizations')
export class Organizations {
  readonly #organizations: ClientOf<typeof OrganizationsContract>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#organizations = clientOf(OrganizationsContract, ports.bus);
  }

  @Post()
  @HttpCode(201)
  async create(@Req() request: IncomingMessage) {
    const body = await readJson(request);
    const asked = { login: body.needText('login'), name: body.text('name') ?? '', email: body.text('email') ?? '' };
    const caller = await this.identify.require(request, ['authz']);
    const options = { ...caller.for('authz'), timeoutMs: CHANGE_MS };
    return ownShape((await this.#organizations.create(asked, options)).account);
  }

  @Patch(':login')
  async update(@Req() request: IncomingMessage, @Param('login') text: string) {
    const organization = loginIn(text);
    const body = await readJson(request);
    const [name, email] = [body.text('name'), body.text('email')];
    const said = PROFILE.map((part) => [part, body.text(part)] as const);
    const profile = Object.fromEntries(said.filter((each): each is [Part, string] => each[1] !== undefined));
    const change = { ...(name === undefined ? {} : { name }), ...(email === undefined ? {} : { email }), profile };
    const caller = await this.identify.require(request, ['authz']);
    const options = { ...caller.for('authz'), timeoutMs: CHANGE_MS };
    return ownShape((await this.#organizations.update({ organization, ...change }, options)).account);
  }

  /** For ever. The client has no command for it; the body says the login once more, and whether packages go too. */
  @Delete(':login')
  async delete(@Req() request: IncomingMessage, @Param('login') text: string) {
    const organization = loginIn(text);
    const body = await readJson(request);
    const asked = { confirm: body.text('confirm') ?? '', deletePackages: body.flag('delete_packages') ?? false };
    const caller = await this.identify.require(request, ['authz']);
    const options = { ...caller.for('authz'), timeoutMs: DELETE_MS };
    const { packages } = await this.#organizations.delete({ organization, ...asked }, options);
    return { login: organization, deleted: true, deleted_packages: Number(packages) };
  }
}

const PROFILE = ['company', 'location', 'description', 'url'] as const;
type Part = (typeof PROFILE)[number];

/** Owners see an organization as it would see itself. */
function ownShape(account: Account | undefined) {
  if (account !== undefined) return { ...accountShape(account, undefined), email: account.email };
  throw new Fault('internal', 'Something went wrong on our side.', {
    cause: new Error('an answer without an account'),
  });
}
