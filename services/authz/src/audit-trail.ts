import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  AuditTrail as AuditTrailContract,
  type ListAuditTrailRequest,
} from '@vivarium/contracts/gen/vivarium/authz/v1/audit_trail_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { namesById } from './accounts-by.js';
import { needAsker } from './asker.js';
import { DB, type Db } from './db.js';
import { mergeTrails } from './merge-trails.js';
import type { AuthzPorts } from './ports.js';
import { trailFor } from './trail-for.js';

const PAGE_MAX = 500;

@Serves(AuditTrailContract)
export class AuditTrail implements HandlerOf<typeof AuditTrailContract> {
  constructor(
    @Inject(PORTS) private readonly ports: AuthzPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async list({ owner, after, limit }: ListAuditTrailRequest, call: Call) {
    const whose = await trailFor(this.ports, this.db, await needAsker(this.ports, call), owner);
    const count = limit > 0 ? Math.min(limit, PAGE_MAX) : PAGE_MAX;
    const { events, next } = await mergeTrails(this.ports, { ...whose, beforeId: after, limit: count });
    const owners = [...new Set(events.map(({ ownerId }) => ownerId))].filter((id) => id !== '');
    const names = await namesById(this.ports, owners);
    return { events: [...events], next, logins: Object.fromEntries([...names].map(([id, { login }]) => [id, login])) };
  }
}
