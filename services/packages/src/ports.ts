import type { BlobPorts, DatabasePorts } from '@vivarium/boot/ports';
import type { Inspector } from './inspection.js';

/** What packages is given by whoever starts it. */
export type PackagesPorts = DatabasePorts &
  BlobPorts & {
    /** How archives are opened; worker threads unless given. */
    readonly inspector?: Inspector;
  };

/** Injection token of the inspector in use. */
export const INSPECTOR = Symbol('inspector');
