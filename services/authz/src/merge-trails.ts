import { create } from '@bufbuild/protobuf';
import { listAudit } from '@vivarium/audit/audit';
import {
  type AuditEvent,
  type ListAuditRequest,
  ListAuditRequestSchema,
  type ListAuditResponse,
} from '@vivarium/contracts/gen/vivarium/common/v1/audit_pb';
import { Audit as IdentityAudit } from '@vivarium/contracts/gen/vivarium/identity/v1/audit_pb';
import { Audit as PackagesAudit } from '@vivarium/contracts/gen/vivarium/packages/v1/audit_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import type { AuthzPorts } from './ports.js';
import type { Whose } from './trail-for.js';

export interface MergedTrails {
  /** Newest first. */
  readonly events: readonly AuditEvent[];
  /** Cursor of the next page; empty after the last event. */
  readonly next: string;
}

/** A page of what all services wrote down, newest first. Each is asked for a page; ids sort by time over all of them. */
export async function mergeTrails(
  { bus, trust, pool }: Pick<AuthzPorts, 'bus' | 'trust' | 'pool'>,
  asked: Whose & { readonly beforeId: string; readonly limit: number },
): Promise<MergedTrails> {
  const { everything, ownerId, beforeId, limit } = asked;
  const request: ListAuditRequest = create(ListAuditRequestSchema, { everything, ownerId, beforeId, limit });
  const options = async (service: string) => ({ assertion: await trust.assertionFor(service) });
  const pages = await Promise.all([
    clientOf(IdentityAudit, bus).list(request, await options('identity')),
    clientOf(PackagesAudit, bus).list(request, await options('packages')),
    listAudit(pool, request),
  ]);
  return merged(pages, limit);
}

/**
 * The newest events of several pages, at most `limit`. Where a page says that there is more behind it, nothing older than
 * its last event may be told yet: what it has not told may be newer.
 */
export function merged(pages: readonly Pick<ListAuditResponse, 'events' | 'more'>[], limit: number): MergedTrails {
  const horizon = pages.map(({ events, more }) => (more ? (events.at(-1)?.id ?? '') : '')).reduce(latest, '');
  const known = pages.flatMap(({ events }) => events).filter(({ id }) => id >= horizon);
  const events = known.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit);
  const isMore = pages.some(({ more }) => more) || known.length > limit;
  return { events, next: isMore ? (events.at(-1)?.id ?? '') : '' };
}

function latest(a: string, b: string): string {
  return a > b ? a : b;
}
