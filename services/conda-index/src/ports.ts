import type { BlobPorts, DatabasePorts } from '@vivarium/boot/ports';

/** What conda-index is given by whoever starts it. */
export type CondaIndexPorts = Pick<
  DatabasePorts,
  'service' | 'bus' | 'log' | 'trust' | 'clock' | 'pool' | 'invalidations'
> &
  BlobPorts & {
    readonly config?: Pick<DatabasePorts['config'], 'sweepGraceMs'>;
  };
