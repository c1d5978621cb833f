import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Inject, Query, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { AuditTrail } from '@vivarium/contracts/gen/vivarium/authz/v1/audit_trail_pb';
import type { AuditEvent } from '@vivarium/contracts/gen/vivarium/common/v1/audit_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type Page, sendLines } from './json-stream.js';
import { type ListQuery, pageIn, textIn } from './list-query.js';
import { timeOf } from './shapes.js';

const EXPORT_PAGE = 500;

/** Who changed what, from where, before and after. Superusers see all of it, others what they own. */
@Controller('api/audit')
export class Audit {
  readonly #trail: ClientOf<typeof AuditTrail>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#trail = clientOf(AuditTrail, ports.bus);
  }

  /** Newest first. `owner`: whose events; `format=jsonl`: all of them, one JSON object a line. */
  @Get()
  async list(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Query() query: ListQuery) {
    const [owner, format] = [textIn(query, 'owner'), textIn(query, 'format')];
    const asked = pageIn(query);
    if (format === 'jsonl') {
      await sendLines(response, await this.#page(request, { owner, after: asked.after, limit: EXPORT_PAGE }));
      return;
    }
    if (format !== '' && format !== 'json') {
      throw new Fault('invalid', `"${format.slice(0, 40)}" is no format of the audit trail: use json or jsonl.`);
    }
    const { rows, next } = await this.#events(request, { owner, ...asked });
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ items: rows, next: next === '' ? null : next }));
  }

  async #page(request: IncomingMessage, asked: Asked): Promise<Page<unknown>> {
    const { rows, next } = await this.#events(request, asked);
    return { rows, next: next === '' ? undefined : () => this.#page(request, { ...asked, after: next }) };
  }

  async #events(request: IncomingMessage, asked: Asked) {
    // Asked anew for each page: an export may be read for longer than the proof of who asks is good.
    const caller = await this.identify.require(request, ['authz']);
    const { events, next, logins } = await this.#trail.list(asked, caller.for('authz'));
    return { rows: events.map((event) => eventShape(event, logins)), next };
  }
}

interface Asked {
  readonly owner: string;
  readonly after: string;
  readonly limit: number;
}

function eventShape(event: AuditEvent, logins: Readonly<Record<string, string>>) {
  const { id, atMs, actor, actorId, credential, address, action, ownerId, resource, beforeJson, afterJson } = event;
  return {
    id,
    at: timeOf(atMs),
    actor,
    actor_id: actorId,
    credential,
    address,
    action,
    owner: logins[ownerId] ?? null,
    owner_id: ownerId,
    resource,
    before: beforeJson === '' ? null : JSON.parse(beforeJson),
    after: afterJson === '' ? null : JSON.parse(afterJson),
  };
}
