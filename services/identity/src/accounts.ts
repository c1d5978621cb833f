import { Inject } from '@nestjs/common';
import { administers } from '@vivarium/access/administer';
import { PORTS } from '@vivarium/boot/ports';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import {
  Accounts as AccountsContract,
  type CreateUserRequest,
  type FindAccountRequest,
  type SetPasswordRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import { accountMessageOf, ownAccountMessageOf } from './account-message.js';
import { callerOf, lockCaller, needSuperuser } from './acting.js';
import { insertUser, parseUser } from './create-user.js';
import { ask, DB, type Db, type Tx } from './db.js';
import { foldLogin, isLogin } from './login.js';
import type { IdentityPorts } from './ports.js';
import { setPassword } from './set-password.js';

@Serves(AccountsContract)
export class Accounts implements HandlerOf<typeof AccountsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async find({ by }: FindAccountRequest, call: Call) {
    const asker = await this.#askerOf(call);
    const login = by.case === 'login' ? foldLogin(by.value) : '';
    const where = by.case === 'id' ? { id: by.value } : { login };
    const isPossible = by.case === 'id' ? /^[\w-]{1,64}$/.test(by.value) : isLogin(login);
    const account = isPossible ? await ask(this.db.account.findFirst({ where: { ...where, deletedAt: null } })) : null;
    if (account === null) throw new Fault('not_found', `There is no account "${(by.value ?? '').slice(0, 70)}".`);
    const isOwn = asker?.accountId === account.id || administers(callerFromProto(asker), 'api:read');
    return { account: isOwn ? ownAccountMessageOf(account) : accountMessageOf(account) };
  }

  async createUser(request: CreateUserRequest, call: Call) {
    const { ports, db } = this;
    const caller = await callerOf(ports, call);
    const judge = async (tx: Tx) => {
      const acting = await lockCaller(tx, caller, ports.clock());
      needSuperuser(acting, 'creating a user');
      return acting;
    };
    // Before the password is hashed, so that nobody else makes us work; and again with the rows.
    await retryConflicts(() => db.$transaction(judge));
    const user = await parseUser(ports, request);
    const account = await retryConflicts(() =>
      db.$transaction(async (tx) => {
        const { message } = await judge(tx);
        return insertUser(tx, ports, user, message);
      }),
    );
    await untilForgotten(ports.invalidations, `The user ${account.login} is made`);
    return { account: ownAccountMessageOf(account) };
  }

  async setPassword(request: SetPasswordRequest, call: Call) {
    const made = await setPassword(this.db, this.ports, await callerOf(this.ports, call), request);
    await untilForgotten(this.ports.invalidations, 'The password is changed and the sessions have ended');
    return { password: made };
  }

  /** The account that asks; undefined for services and for anybody who is nobody. */
  async #askerOf(call: Call): Promise<Caller | undefined> {
    if (call.assertion === undefined) return undefined;
    const isService = await this.ports.trust.serviceOf(call).then(
      () => true,
      () => false,
    );
    return isService ? undefined : this.ports.trust.callerMessageOf(call);
  }
}
