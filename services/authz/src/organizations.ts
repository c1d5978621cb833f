import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type CreateOrganizationRequest,
  type DeleteOrganizationRequest,
  Organizations as OrganizationsContract,
  type OrganizationsOfUserRequest,
  type UpdateOrganizationRequest,
} from '@vivarium/contracts/gen/vivarium/authz/v1/organizations_pb';
import { OrganizationAccounts } from '@vivarium/contracts/gen/vivarium/identity/v1/organization_accounts_pb';
import { Serves } from '@vivarium/rpc/nest';
import { type Call, clientOf, type HandlerOf } from '@vivarium/rpc/rpc';
import { askerOf, askerToday } from './asker.js';
import { createOrganization } from './create-organization.js';
import { DB, type Db } from './db.js';
import { deleteOrganization } from './delete-organization.js';
import { listOrganizations } from './list-organizations.js';
import { owningOf } from './owning.js';
import type { AuthzPorts } from './ports.js';

@Serves(OrganizationsContract)
export class Organizations implements HandlerOf<typeof OrganizationsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: AuthzPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async create({ login, name, email }: CreateOrganizationRequest, call: Call) {
    const asker = await askerToday(this.ports, call);
    return { account: await createOrganization(this.ports, this.db, asker, { login, name, email }) };
  }

  async update({ organization, name, email, profile }: UpdateOrganizationRequest, call: Call) {
    const owning = await owningOf(this.ports, this.db, call, organization, 'organization');
    const assertion = await this.ports.trust.assertionFor('identity');
    const change = {
      id: owning.organization.id,
      actor: owning.asker.message,
      profile,
      ...(name === undefined ? {} : { name }),
      ...(email === undefined ? {} : { email }),
    };
    const { account } = await clientOf(OrganizationAccounts, this.ports.bus, { assertion }).update(change);
    return account === undefined ? {} : { account };
  }

  async delete({ organization, confirm, deletePackages }: DeleteOrganizationRequest, call: Call) {
    const owning = await owningOf(this.ports, this.db, call, organization, 'organization');
    const packages = await deleteOrganization(this.ports, this.db, owning, { confirm, deletePackages }, call);
    return { packages };
  }

  async ofUser({ login, after, limit }: OrganizationsOfUserRequest, call: Call) {
    return listOrganizations(this.ports, this.db, await askerOf(this.ports, call), { login, after, limit });
  }
}
