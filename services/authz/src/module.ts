import { type DynamicModule, Inject, Module, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { Audit } from './audit.js';
import { AuditTrail } from './audit-trail.js';
import { Courier } from './courier.js';
import { DB, type Db, openDb } from './db.js';
import { Decisions } from './decisions.js';
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
    controllers: [Audit, AuditTrail, Decisions, GroupIds, Groups, Leases, Memberships, Organizations, Views],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: DB, useFactory: () => openDb(ports.pool) },
      { provide: Courier, useFactory: () => new Courier(ports) },
    ],
  };
}

@Module({})
class AuthzModule implements OnModuleInit, OnModuleDestroy {
  constructor(
    @Inject(DB) private readonly db: Db,
    @Inject(Courier) private readonly courier: Courier,
  ) {}

  onModuleInit(): void {
    this.courier.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.courier.stop();
    await this.db.$disconnect();
  }
}
