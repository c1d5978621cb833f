import { authzModule } from '@vivarium/authz/module';
import { ROLES, type Role, type Target } from '@vivarium/boot/config';
import { condaIndexModule } from '@vivarium/conda-index/module';
import { identityModule } from '@vivarium/identity/module';
import { packagesModule } from '@vivarium/packages/module';
import { pypiIndexModule } from '@vivarium/pypi-index/module';
import { RESERVED_LOGINS } from './reserved-logins.js';
import { type RoleStarter, startGateway, startService } from './start-role.js';

/**
 * What runs where: the roles of each target, in the order of their start. The gateway comes last, since it asks every
 * other role for a lease.
 */
export const TARGETS: Readonly<Record<Target, readonly Role[]>> = {
  all: [...ROLES.filter((role) => role !== 'gateway'), 'gateway'],
  gateway: ['gateway'],
  identity: ['identity'],
  authz: ['authz'],
  packages: ['packages'],
  'conda-index': ['conda-index'],
  'pypi-index': ['pypi-index'],
};

/** Role → how it is started. */
export const STARTERS: Readonly<Record<Role, RoleStarter>> = {
  identity: async (context) => {
    const ports = await context.open.databasePorts('identity', 'identity');
    const { secret, signUp, publicUrl } = ports.config;
    const mail = { mailer: context.open.mailer(), publicUrl };
    const given = { ...ports, secret, signUp, mail, reservedLogins: RESERVED_LOGINS };
    return startService(context, ports, identityModule(given));
  },
  authz: async (context) => {
    const ports = await context.open.databasePorts('authz', 'authz');
    return startService(context, ports, authzModule({ ...ports, organizations: ports.config.organizations }));
  },
  packages: async (context) => {
    const ports = await context.open.databasePorts('packages', 'packages');
    const blobs = await context.open.blobs();
    const check = { name: 'blob store', check: () => blobs.check() };
    return startService(context, ports, packagesModule({ ...ports, blobs }), [check]);
  },
  'conda-index': async (context) => {
    const ports = await context.open.databasePorts('conda-index', 'conda_index');
    const blobs = await context.open.blobs();
    return startService(context, ports, condaIndexModule({ ...ports, blobs }));
  },
  'pypi-index': async (context) => {
    const ports = await context.open.databasePorts('pypi-index', 'pypi_index');
    const blobs = await context.open.blobs();
    return startService(context, ports, pypiIndexModule({ ...ports, blobs }));
  },
  gateway: async (context, health) => startGateway(context, await context.open.rolePorts('gateway'), health),
};
