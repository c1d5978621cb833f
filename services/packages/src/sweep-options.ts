import type { PackagesPorts } from './ports.js';

/** What was removed of one sort, or would be. */
export interface Swept {
  readonly what: string;
  readonly count: number;
  /** 0 for rows. */
  readonly sizeBytes: number;
}

export interface SweepOptions {
  /** How long bytes stay that nothing needs any more: whoever was told their key may still be reading them. */
  readonly graceMs: number;
  /** Only look. */
  readonly dryRun: boolean;
  /** List the whole store too: it finds what crashes left, and costs a page of the store for each thousand objects. */
  readonly listing: boolean;
  readonly signal?: AbortSignal;
}

export type SweepPorts = Pick<PackagesPorts, 'pool' | 'blobs' | 'clock' | 'log'> & {
  readonly config?: Pick<PackagesPorts['config'], 'sweepGraceMs'>;
};
