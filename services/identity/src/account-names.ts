import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  AccountNames as AccountNamesContract,
  type NamesOfIdsRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/account_names_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { ask, DB, type Db } from './db.js';
import type { IdentityPorts } from './ports.js';

const LIMIT = 1_000;

/** What many accounts are called, for services that keep ids and show names. */
@Serves(AccountNamesContract)
export class AccountNames implements HandlerOf<typeof AccountNamesContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async ofIds({ ids }: NamesOfIdsRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    if (ids.length > LIMIT) throw new Fault('invalid', `At most ${LIMIT} accounts are named at once.`);
    const select = { id: true, login: true, kind: true, name: true, disabled: true };
    // By accounts_pkey.
    return {
      accounts: await ask(this.db.account.findMany({ where: { id: { in: [...ids] }, deletedAt: null }, select })),
    };
  }
}
