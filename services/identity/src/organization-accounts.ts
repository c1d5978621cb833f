import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type CreateOrganizationAccountRequest,
  type DeleteOrganizationAccountRequest,
  OrganizationAccounts as OrganizationAccountsContract,
  type UpdateOrganizationAccountRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/organization_accounts_pb';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { ownAccountMessageOf } from './account-message.js';
import { createOrganization, deleteOrganization, updateOrganization } from './change-organization.js';
import { DB, type Db } from './db.js';
import type { IdentityPorts } from './ports.js';

/** The accounts of organizations, which authz keeps with what it knows of them. */
@Serves(OrganizationAccountsContract)
export class OrganizationAccounts implements HandlerOf<typeof OrganizationAccountsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async create({ actor, ...organization }: CreateOrganizationAccountRequest, call: Call) {
    await this.#authz(call);
    const account = await createOrganization(this.db, this.ports, present(actor), organization);
    await untilForgotten(this.ports.invalidations, `The organization ${account.login} is made`);
    return { account: ownAccountMessageOf(account) };
  }

  async update({ actor, id, name, email, profile }: UpdateOrganizationAccountRequest, call: Call) {
    await this.#authz(call);
    const account = await updateOrganization(this.db, this.ports, present(actor), { id, name, email, profile });
    return { account: ownAccountMessageOf(account) };
  }

  async delete({ actor, id }: DeleteOrganizationAccountRequest, call: Call) {
    await this.#authz(call);
    await deleteOrganization(this.db, this.ports, present(actor), id);
    await untilForgotten(this.ports.invalidations, 'The organization is deleted');
    return {};
  }

  async #authz(call: Call): Promise<void> {
    const service = await this.ports.trust.serviceOf(call);
    if (service !== 'authz') throw new Fault('forbidden', `${call.subject} does not answer ${service}.`);
  }
}

function present<T>(actor: T | undefined): T {
  if (actor !== undefined) return actor;
  throw new Fault('invalid', 'A change of an organization needs somebody who makes it.');
}
