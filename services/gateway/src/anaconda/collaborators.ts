import type { IncomingMessage } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Put, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import {
  type Collaborator,
  Collaborators as CollaboratorsContract,
} from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { loginIn, type PackageParams, packageIn } from './place.js';

// A change of who may do what answers when every gateway has it.
const CHANGE_MS = 30_000;

interface CollaboratorParams extends PackageParams {
  readonly login: string;
}

/** Users with rights on one package. The client says `packages` here, where it says `package` elsewhere. */
@Controller('api/packages/:owner/:package/collaborators')
export class Collaborators {
  readonly #collaborators: ClientOf<typeof CollaboratorsContract>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#collaborators = clientOf(CollaboratorsContract, ports.bus);
  }

  @Get()
  async list(@Req() request: IncomingMessage, @Param() params: PackageParams) {
    const place = packageIn(params);
    const caller = await this.identify.require(request, ['packages']);
    const { collaborators } = await this.#collaborators.list(place, caller.for('packages'));
    return collaborators.map(collaboratorShape);
  }

  @Put(':login')
  @HttpCode(201)
  async put(@Req() request: IncomingMessage, @Param() params: CollaboratorParams) {
    const place = { ...packageIn(params), login: loginIn(params.login) };
    const permission = (await readJson(request)).text('permission') ?? '';
    const caller = await this.identify.require(request, ['packages']);
    const options = { ...caller.for('packages'), timeoutMs: CHANGE_MS };
    const { collaborator } = await this.#collaborators.put({ ...place, permission }, options);
    return collaborator === undefined ? {} : collaboratorShape(collaborator);
  }

  @Delete(':login')
  @HttpCode(201)
  async remove(@Req() request: IncomingMessage, @Param() params: CollaboratorParams) {
    const place = { ...packageIn(params), login: loginIn(params.login) };
    const caller = await this.identify.require(request, ['packages']);
    await this.#collaborators.remove(place, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    return {};
  }
}

function collaboratorShape({ login, name, permission }: Collaborator) {
  return { login, name, permission };
}
