import type { Config } from '@vivarium/boot/config';
import type { DatabasePorts } from '@vivarium/boot/ports';

/** What authz is given by whoever starts it. */
export interface AuthzPorts
  extends Pick<DatabasePorts, 'bus' | 'pool' | 'trust' | 'invalidations' | 'clock'>,
    Pick<Config, 'organizations'> {
  readonly log: Pick<DatabasePorts['log'], 'warn'>;
}
