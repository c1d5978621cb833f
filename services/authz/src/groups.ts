import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type AddMemberRequest,
  type CreateGroupRequest,
  type DeleteGroupRequest,
  type FindGroupRequest,
  type FindMemberRequest,
  Groups as GroupsContract,
  type ListGroupsRequest,
  type ListMembersRequest,
  type RemoveMemberRequest,
  type UpdateGroupRequest,
} from '@vivarium/contracts/gen/vivarium/authz/v1/groups_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { needAsker } from './asker.js';
import { addGroup, changeGroup, findGroup, parsePermission, removeGroup } from './change-groups.js';
import { addMember, removeMember } from './change-members.js';
import { Courier } from './courier.js';
import { DB, type Db } from './db.js';
import { groupMessageOf, listGroups, listGroupsOf } from './list-groups.js';
import { findMember, listMembers, userByLogin } from './list-members.js';
import { type Organization, requireRight, seenOrganization } from './organization-rights.js';
import { changeOwned, owningOf } from './owning.js';
import type { AuthzPorts } from './ports.js';
import { tellMember } from './tell-member.js';
import { noteGroup, noteMember } from './trail.js';

@Serves(GroupsContract)
export class Groups implements HandlerOf<typeof GroupsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: AuthzPorts,
    @Inject(DB) private readonly db: Db,
    @Inject(Courier) private readonly courier: Courier,
  ) {}

  async list({ organization, after, limit }: ListGroupsRequest, call: Call) {
    if (organization !== '') return listGroups(this.db, await this.#seen(organization, call), { after, limit });
    return listGroupsOf(this.ports, this.db, await needAsker(this.ports, call), { after, limit });
  }

  async find({ organization, name }: FindGroupRequest, call: Call) {
    const found = await this.#seen(organization, call);
    return { group: await groupMessageOf(this.db, found, await findGroup(this.db, found, name)) };
  }

  async create({ organization, name, permission, allPackages }: CreateGroupRequest, call: Call) {
    const { ports, db } = this;
    const owning = await owningOf(ports, db, call, organization, 'groups');
    const settings = { name, permission: parsePermission(permission), allPackages };
    const group = await changeOwned(ports, db, owning, async (tx) => {
      const organizationId = owning.organization.id;
      const after = await addGroup(tx, { ...settings, organizationId }, new Date(ports.clock()));
      await noteGroup(tx, owning, { action: 'group.create', after }, ports.clock());
      return after;
    });
    return { group: await groupMessageOf(db, owning.organization, group) };
  }

  async update({ organization, name, newName, permission, allPackages }: UpdateGroupRequest, call: Call) {
    const { ports, db } = this;
    const owning = await owningOf(ports, db, call, organization, 'groups');
    const change = {
      ...(newName === undefined ? {} : { name: newName }),
      ...(permission === undefined ? {} : { permission: parsePermission(permission) }),
      ...(allPackages === undefined ? {} : { allPackages }),
    };
    const group = await changeOwned(ports, db, owning, async (tx) => {
      const before = await findGroup(tx, owning.organization, name);
      const after = await changeGroup(tx, before, change);
      await noteGroup(tx, owning, { action: 'group.update', before, after }, ports.clock());
      return after;
    });
    return { group: await groupMessageOf(db, owning.organization, group) };
  }

  async delete({ organization, name }: DeleteGroupRequest, call: Call) {
    const { ports, db } = this;
    const owning = await owningOf(ports, db, call, organization, 'groups');
    await changeOwned(ports, db, owning, async (tx) => {
      const before = await findGroup(tx, owning.organization, name);
      await removeGroup(tx, before);
      await noteGroup(tx, owning, { action: 'group.delete', before }, ports.clock());
    });
    return {};
  }

  async members({ organization, group, after, limit }: ListMembersRequest, call: Call) {
    const found = await findGroup(this.db, await this.#seen(organization, call), group);
    return listMembers(this.ports, this.db, found, { after, limit });
  }

  async findMember({ organization, group, login }: FindMemberRequest, call: Call) {
    const found = await findGroup(this.db, await this.#seen(organization, call), group);
    return { member: await findMember(this.ports, this.db, found, login) };
  }

  async addMember({ organization, group, login }: AddMemberRequest, call: Call) {
    const { ports, db } = this;
    const owning = await owningOf(ports, db, call, organization, 'groups');
    const user = await userByLogin(ports, login);
    await changeOwned(ports, db, owning, async (tx) => {
      const found = await findGroup(tx, owning.organization, group);
      const now = new Date(ports.clock());
      if (!(await addMember(tx, found, user.id, now))) return;
      await noteMember(tx, owning, { action: 'group.add_member', group: found, user }, now.getTime());
      await tellMember(tx, owning, { group: found, userId: user.id }, now);
    });
    this.courier.wake();
    return {};
  }

  async removeMember({ organization, group, login }: RemoveMemberRequest, call: Call) {
    const { ports, db } = this;
    const owning = await owningOf(ports, db, call, organization, 'groups');
    const user = await userByLogin(ports, login);
    await changeOwned(ports, db, owning, async (tx) => {
      const found = await findGroup(tx, owning.organization, group);
      await removeMember(tx, found, user);
      await noteMember(tx, owning, { action: 'group.remove_member', group: found, user }, ports.clock());
    });
    return {};
  }

  /** The organization, if its groups are for the caller to see. */
  async #seen(login: string, call: Call): Promise<Organization> {
    const asker = await needAsker(this.ports, call);
    const seen = await seenOrganization(this.ports, this.db, asker, login);
    requireRight(asker, seen, 'read', 'groups');
    return seen.organization;
  }
}
