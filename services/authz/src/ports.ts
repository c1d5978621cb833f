import type { DatabasePorts } from '@vivarium/boot/ports';

/** What authz is given by whoever starts it. */
export type AuthzPorts = Pick<DatabasePorts, 'pool' | 'trust' | 'invalidations'>;
