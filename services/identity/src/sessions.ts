import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type CloseSessionRequest,
  type EndSessionsRequest,
  type ListSessionsRequest,
  type OpenSessionRequest,
  Sessions as SessionsContract,
} from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { callerOf } from './acting.js';
import { closeSession } from './close-session.js';
import { DB, type Db } from './db.js';
import { openSession } from './open-session.js';
import { endSessions, listSessions } from './own-sessions.js';
import type { IdentityPorts } from './ports.js';

@Serves(SessionsContract)
export class Sessions implements HandlerOf<typeof SessionsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async open(request: OpenSessionRequest, call: Call) {
    return openSession(this.ports, this.db, await callerOf(this.ports, call), request);
  }

  async close(_request: CloseSessionRequest, call: Call) {
    await closeSession(this.ports, this.db, await callerOf(this.ports, call));
    await untilForgotten(this.ports.invalidations, 'The session has ended');
    return {};
  }

  async list(_request: ListSessionsRequest, call: Call) {
    const caller = await callerOf(this.ports, call);
    return { sessions: await listSessions(this.db, caller, this.ports.clock()) };
  }

  async end({ id }: EndSessionsRequest, call: Call) {
    const ended = await endSessions(this.ports, this.db, await callerOf(this.ports, call), id);
    await untilForgotten(this.ports.invalidations, 'The session has ended');
    return { ended: BigInt(ended) };
  }
}
