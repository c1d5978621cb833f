import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type ChangeUserRequest,
  type DescribeUserRequest,
  type ListUsersRequest,
  Users as UsersContract,
} from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { ownAccountMessageOf } from './account-message.js';
import { callerOf } from './acting.js';
import { changeUser } from './change-user.js';
import { DB, type Db } from './db.js';
import { describeUser, listUsers } from './look-at-users.js';
import type { IdentityPorts } from './ports.js';

@Serves(UsersContract)
export class Users implements HandlerOf<typeof UsersContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async change(request: ChangeUserRequest, call: Call) {
    const account = await changeUser(this.ports, this.db, await callerOf(this.ports, call), request);
    await untilForgotten(this.ports.invalidations, `The user ${account.login} is changed`);
    return { account: ownAccountMessageOf(account) };
  }

  async list(request: ListUsersRequest, call: Call) {
    return listUsers(this.db, await callerOf(this.ports, call), request);
  }

  async describe({ login }: DescribeUserRequest, call: Call) {
    return describeUser(this.db, await callerOf(this.ports, call), login, this.ports.clock());
  }
}
