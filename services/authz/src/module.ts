import { type DynamicModule, Inject, Module, type OnModuleDestroy } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { Audit } from './audit.js';
import { DB, type Db, openDb } from './db.js';
import { GroupIds } from './group-ids.js';
import { Groups } from './groups.js';
import { Leases } from './leases.js';
import { Memberships } from './memberships.js';
import { Organizations } from './organizations.js';
import type { AuthzPorts } from './ports.js';
import { Views } from './views.js';

/** The service authz: which principals an account is in a channel. */
export function authzModule(ports: AuthzPorts): DynamicModule {
  return {
    module: AuthzModule,
    controllers: [Audit, GroupIds, Groups, Views, Leases, Memberships, Organizations],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: DB, useFactory: () => openDb(ports.pool) },
    ],
  };
}

@Module({})
class AuthzModule implements OnModuleDestroy {
  constructor(@Inject(DB) private readonly db: Db) {}

  async onModuleDestroy(): Promise<void> {
    await this.db.$disconnect();
  }
}
