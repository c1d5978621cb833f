import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  Decisions as DecisionsContract,
  type ExplainRequest,
} from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { needAsker } from './asker.js';
import { DB, type Db } from './db.js';
import { explain } from './explain.js';
import type { AuthzPorts } from './ports.js';

@Serves(DecisionsContract)
export class Decisions implements HandlerOf<typeof DecisionsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: AuthzPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async explain(request: ExplainRequest, call: Call) {
    const isOperator = await this.#isOperator(call);
    if (isOperator && request.as === '') throw new Fault('invalid', 'Say who would do it.');
    const asker = isOperator ? 'operator' : await needAsker(this.ports, call);
    return explain({ ports: this.ports, db: this.db, asker }, request);
  }

  /** The command line, which whoever runs this installation may use. */
  async #isOperator(call: Call): Promise<boolean> {
    return this.ports.trust.serviceOf(call).then(
      (service) => service === 'platform',
      () => false,
    );
  }
}
