import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Put, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { type Group, Groups as GroupsContract } from '@vivarium/contracts/gen/vivarium/authz/v1/groups_pb';
import { Grants } from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type JsonBody, readJson } from './json-body.js';
import { type Page, sendRows } from './json-stream.js';
import { loginIn, packageIn } from './place.js';
import { packageShape, timeOf } from './shapes.js';

const PAGE = 500;
// A change of who may do what answers when every gateway has it.
const CHANGE_MS = 30_000;

interface GroupParams {
  readonly organization: string;
  readonly group: string;
}

/** Groups of organizations, as the `anaconda` client calls them; `PATCH` and `DELETE` of a group are ours. */
@Controller('api')
export class Groups {
  readonly #groups: ClientOf<typeof GroupsContract>;
  readonly #grants: ClientOf<typeof Grants>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#groups = clientOf(GroupsContract, ports.bus);
    this.#grants = clientOf(Grants, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  /** Those that the caller is in. */
  @Get('groups')
  async own(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    await sendRows(response, await this.#page(request, ''), IN_GROUPS);
  }

  @Get('groups/:organization')
  async list(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param('organization') text: string) {
    await sendRows(response, await this.#page(request, loginIn(text)), IN_GROUPS);
  }

  @Get('group/:organization/:group')
  async find(@Req() request: IncomingMessage, @Param() params: GroupParams) {
    const { organization, group: name } = groupIn(params);
    const caller = await this.identify.require(request, ['authz']);
    return groupShape((await this.#groups.find({ organization, name }, caller.for('authz'))).group);
  }

  @Post('group/:organization/:group')
  @HttpCode(204)
  async create(@Req() request: IncomingMessage, @Param() params: GroupParams) {
    const { organization, group: name } = groupIn(params);
    const body = await readJson(request);
    const permission = permissionIn(body) ?? 'read';
    const allPackages = body.flag('all_packages') ?? false;
    const options = await this.#changing(request, 'authz');
    await this.#groups.create({ organization, name, permission, allPackages }, options);
  }

  @Patch('group/:organization/:group')
  async update(@Req() request: IncomingMessage, @Param() params: GroupParams) {
    const { organization, group: name } = groupIn(params);
    const body = await readJson(request);
    const [newName, permission] = [body.text('name'), permissionIn(body)];
    const allPackages = body.flag('all_packages');
    const change = {
      ...(newName === undefined ? {} : { newName }),
      ...(permission === undefined ? {} : { permission }),
      ...(allPackages === undefined ? {} : { allPackages }),
    };
    const options = await this.#changing(request, 'authz');
    return groupShape((await this.#groups.update({ organization, name, ...change }, options)).group);
  }

  @Delete('group/:organization/:group')
  @HttpCode(204)
  async delete(@Req() request: IncomingMessage, @Param() params: GroupParams) {
    const { organization, group: name } = groupIn(params);
    await this.#groups.delete({ organization, name }, await this.#changing(request, 'authz'));
  }

  @Get('group/:organization/:group/members')
  async members(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param() params: GroupParams) {
    const place = groupIn(params);
    const page = async (after: string): Promise<Page<unknown>> => {
      const caller = await this.identify.require(request, ['authz']);
      const { members, next } = await this.#groups.members({ ...place, after, limit: PAGE }, caller.for('authz'));
      const rows = members.map(({ login, name, addedAtMs }) => ({ login, name, added_at: timeOf(addedAtMs) }));
      return { rows, next: next === '' ? undefined : () => page(next) };
    };
    await sendRows(response, await page(''));
  }

  /** 204 for a member, 404 for anybody else. */
  @Get('group/:organization/:group/members/:login')
  @HttpCode(204)
  async findMember(@Req() request: IncomingMessage, @Param() params: GroupParams & { readonly login: string }) {
    const place = { ...groupIn(params), login: loginIn(params.login) };
    const caller = await this.identify.require(request, ['authz']);
    await this.#groups.findMember(place, caller.for('authz'));
  }

  @Put('group/:organization/:group/members/:login')
  @HttpCode(204)
  async addMember(@Req() request: IncomingMessage, @Param() params: GroupParams & { readonly login: string }) {
    const place = { ...groupIn(params), login: loginIn(params.login) };
    await this.#groups.addMember(place, await this.#changing(request, 'authz'));
  }

  @Delete('group/:organization/:group/members/:login')
  @HttpCode(204)
  async removeMember(@Req() request: IncomingMessage, @Param() params: GroupParams & { readonly login: string }) {
    const place = { ...groupIn(params), login: loginIn(params.login) };
    await this.#groups.removeMember(place, await this.#changing(request, 'authz'));
  }

  @Get('group/:organization/:group/packages')
  async packages(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Param() params: GroupParams) {
    const { organization: channel, group } = groupIn(params);
    const page = async (after: string): Promise<Page<unknown>> => {
      const caller = await this.identify.require(request, ['packages']);
      const asked = { channel, group, after, limit: PAGE };
      const { packages, more } = await this.#grants.listOfGroup(asked, caller.for('packages'));
      const last = packages.at(-1);
      return {
        rows: packages.map((each) => packageShape(each, this.#publicUrl)),
        next: more && last !== undefined ? () => page(last.name) : undefined,
      };
    };
    await sendRows(response, await page(''));
  }

  @Put('group/:organization/:group/packages/:package')
  @HttpCode(204)
  async addPackage(@Req() request: IncomingMessage, @Param() params: GroupParams & { readonly package: string }) {
    await this.#grants.put(grantIn(params), await this.#changing(request, 'packages'));
  }

  @Delete('group/:organization/:group/packages/:package')
  @HttpCode(204)
  async removePackage(@Req() request: IncomingMessage, @Param() params: GroupParams & { readonly package: string }) {
    await this.#grants.remove(grantIn(params), await this.#changing(request, 'packages'));
  }

  async #page(request: IncomingMessage, organization: string, after = ''): Promise<Page<unknown>> {
    // Asked anew for each page: a listing may be read for longer than the proof of who asks is good.
    const caller = await this.identify.require(request, ['authz']);
    const { groups, next } = await this.#groups.list({ organization, after, limit: PAGE }, caller.for('authz'));
    return {
      rows: groups.map(groupShape),
      next: next === '' ? undefined : () => this.#page(request, organization, next),
    };
  }

  async #changing(request: IncomingMessage, service: 'authz' | 'packages') {
    const caller = await this.identify.require(request, [service]);
    return { ...caller.for(service), timeoutMs: CHANGE_MS };
  }
}

const IN_GROUPS = { before: '{"groups":', after: '}' };

function groupIn({ organization, group }: GroupParams) {
  return { organization: loginIn(organization), group };
}

function grantIn({ organization, group, package: name }: GroupParams & { readonly package: string }) {
  return { ...packageIn({ owner: organization, package: name }), group };
}

/** The client says `perms`; we also take what the group is shown with. */
function permissionIn(body: JsonBody): string | undefined {
  return body.text('perms') ?? body.text('permission');
}

function groupShape(group: Group | undefined) {
  if (group === undefined) {
    throw new Fault('internal', 'Something went wrong on our side.', { cause: new Error('an answer without a group') });
  }
  const { name, organization, permission, allPackages, members, createdAtMs } = group;
  return {
    name,
    organization,
    permission,
    all_packages: allPackages,
    members_count: Number(members),
    created_at: timeOf(createdAtMs),
  };
}
