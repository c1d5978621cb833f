import type { PackagesPorts } from './ports.js';

/** Two places that should say the same and do not. */
export interface Difference {
  /** A sentence with the values. */
  readonly what: string;
  readonly remedy: string;
  readonly repaired?: boolean;
}

export interface CheckOptions {
  /** Empty: all blobs, whoever they belong to. */
  readonly channelId: string;
  /** Of a channel: look at the objects of its files too. */
  readonly objects: boolean;
  /** Hash the objects, too. */
  readonly bytes: boolean;
  readonly repair: boolean;
  /** Cursor of the page before. */
  readonly after: string;
}

export interface Checked {
  readonly differences: readonly Difference[];
  readonly lookedAt: Readonly<Record<string, number>>;
  /** Empty after the last page. */
  readonly next: string;
}

export type CheckPorts = Pick<PackagesPorts, 'pool' | 'blobs' | 'invalidations'>;
