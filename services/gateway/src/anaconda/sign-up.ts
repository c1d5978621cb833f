import type { IncomingMessage } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { type Invitation, Invitations, SignUps } from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { arrivalOf } from '../arrival.js';
import { Identify } from '../identify.js';
import { readOwnJson } from './forgery.js';
import { readJson } from './json-body.js';
import { managedAccountShape, timeOf } from './shapes.js';

// It is answered when every gateway knows that the login exists.
const SIGN_UP_MS = 15_000;

/** Accounts that people make for themselves, as far as the setting allows, and invitations to do so. */
@Controller('api')
export class SignUp {
  readonly #signUps: ClientOf<typeof SignUps>;
  readonly #invitations: ClientOf<typeof Invitations>;

  constructor(
    @Inject(PORTS) private readonly ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#signUps = clientOf(SignUps, ports.bus);
    this.#invitations = clientOf(Invitations, ports.bus);
  }

  /** closed, invitation or open. */
  @Get('sign-up')
  async policy() {
    const { policy } = await this.#signUps.policy({}, await this.#asGateway());
    return { policy };
  }

  @Post('sign-up')
  @HttpCode(201)
  async signUp(@Req() request: IncomingMessage) {
    const body = await readOwnJson(request, this.ports.config.publicUrl);
    const login = body.needText('login');
    const asked = {
      login,
      password: body.needText('password'),
      email: body.text('email') ?? '',
      name: body.text('name') ?? '',
      invitation: body.text('invitation') ?? '',
    };
    // Logins and invitations can be guessed here as passwords can elsewhere.
    await this.identify.countTry(request, `sign-up ${login}`);
    const { address = '' } = arrivalOf(request);
    const options = { ...(await this.#asGateway()), timeoutMs: SIGN_UP_MS };
    const { account } = await this.#signUps.signUp({ ...asked, address }, options);
    return account === undefined ? {} : managedAccountShape(account);
  }

  @Get('invitations')
  async list(@Req() request: IncomingMessage) {
    const caller = await this.identify.require(request, ['identity']);
    const { invitations } = await this.#invitations.list({}, caller.for('identity'));
    return { items: invitations.map(invitationShape), next: null };
  }

  /** The secret is in `invitation`, this once. */
  @Post('invitations')
  @HttpCode(201)
  async invite(@Req() request: IncomingMessage) {
    const body = await readJson(request);
    const seconds = body.wholeNumber('max-age');
    const asked = {
      email: body.text('email') ?? '',
      organization: body.text('organization') ?? '',
      ...(seconds === undefined ? {} : { maxAgeSeconds: BigInt(seconds) }),
    };
    const caller = await this.identify.require(request, ['identity']);
    const { secret, invitation } = await this.#invitations.create(asked, caller.for('identity'));
    return { ...(invitation === undefined ? {} : invitationShape(invitation)), invitation: secret };
  }

  @Delete('invitations/:id')
  @HttpCode(204)
  async takeBack(@Req() request: IncomingMessage, @Param('id') id: string) {
    const caller = await this.identify.require(request, ['identity']);
    await this.#invitations.revoke({ id }, caller.for('identity'));
  }

  async #asGateway(): Promise<{ assertion: string }> {
    return { assertion: await this.ports.trust.assertionFor('identity') };
  }
}

function invitationShape(invitation: Invitation) {
  return {
    id: invitation.id,
    made_by: invitation.makerLogin,
    organization: invitation.organizationLogin || null,
    email: invitation.email || null,
    created_at: timeOf(invitation.createdAtMs),
    expires: timeOf(invitation.expiresAtMs),
  };
}
