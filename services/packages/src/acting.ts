import type { AuditEntry } from '@vivarium/audit/audit';
import type { Actor } from './actor.js';

/** Who did something in a channel, and whose owners may read of it: the start of an event of the audit trail. */
export function actingOf({ message, channel }: Actor): Pick<AuditEntry, 'actor' | 'ownerId'> {
  return { actor: message ?? { service: 'packages' }, ownerId: channel.id };
}
