import { fileURLToPath } from 'node:url';
import type { Role } from '@vivarium/boot/config';
import type { Migrations } from '@vivarium/db/migrate';

/** Roles with a schema of their own, in the order in which they are brought up to date. */
export const SCHEMAS: Readonly<Partial<Record<Role, string>>> = {
  identity: 'identity',
  authz: 'authz',
  packages: 'packages',
  'conda-index': 'conda_index',
  'pypi-index': 'pypi_index',
};

/** The migrations of all services, or of one. */
export function migrationsOf(role?: Role): readonly Migrations[] {
  return Object.entries(SCHEMAS)
    .filter(([name]) => role === undefined || name === role)
    .map(([name, schema]) => ({
      schema,
      dir: fileURLToPath(new URL(`../../${name}/prisma/migrations`, import.meta.url)),
    }));
}
