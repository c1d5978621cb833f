import { type DynamicModule, Inject, Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { Chore } from '@vivarium/db/chore';
import { deriveKey } from '@vivarium/token/secret';
import { AccountNames } from './account-names.js';
import { Accounts } from './accounts.js';
import { Audit } from './audit.js';
import { BrowserLogins } from './browser-logins.js';
import { Callers } from './callers.js';
import { DB, type Db, openDb } from './db.js';
import { Inbox } from './inbox.js';
import { Invitations } from './invitations.js';
import { LastUsed } from './last-used.js';
import { Leases } from './leases.js';
import { MailRelay } from './mail-relay.js';
import { ownersOf } from './makers.js';
import { NamedTokens } from './named-tokens.js';
import { noticeExpiry } from './notices-of-expiry.js';
import { OrganizationAccounts } from './organization-accounts.js';
import type { IdentityPorts } from './ports.js';
import { Sessions } from './sessions.js';
import { SignUps } from './sign-ups.js';
import { SigningKeys } from './signing-keys.js';
import { Tokens } from './tokens.js';
import { Users } from './users.js';

/** What is done without being asked. */
const BACKGROUND = Symbol('background');
type Background = readonly { start(): void; stop(): Promise<void> }[];

const NOTICES_MS = 10 * 60_000;
// A key signs for a day; a published set may be remembered for ten minutes.
const KEY_POLICY = { lifetimeMs: 86_400_000, cacheMs: 600_000 };

/** The service identity: who is calling, and the proof of it. */
export function identityModule(ports: IdentityPorts): DynamicModule {
  const db = openDb(ports.pool);
  const keys = new SigningKeys({
    db,
    sealingKey: deriveKey(ports.secret, 'identity signing keys'),
    clock: ports.clock,
    policy: ports.signingKeys ?? KEY_POLICY,
  });
  const notices = new Chore({
    pool: ports.pool,
    name: 'notices of tokens that expire',
    everyMs: NOTICES_MS,
    work: (signal) => noticeExpiry(db, (id) => ownersOf(ports, id), ports.clock(), signal),
    log: ports.log,
  });
  const { mail, pool, clock, log } = ports;
  const relays = mail === undefined ? [] : [new MailRelay({ ...mail, db, pool, clock, log })];
  return {
    module: IdentityModule,
    controllers: [
      AccountNames,
      Accounts,
      Audit,
      BrowserLogins,
      Callers,
      Inbox,
      Invitations,
      Leases,
      NamedTokens,
      OrganizationAccounts,
      Sessions,
      SignUps,
      Tokens,
      Users,
    ],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: DB, useValue: db },
      { provide: SigningKeys, useValue: keys },
      { provide: LastUsed, useValue: new LastUsed(db, ports) },
      { provide: BACKGROUND, useValue: [notices, ...relays] },
    ],
  };
}

@Module({})
class IdentityModule implements OnApplicationBootstrap, OnModuleDestroy {
  constructor(
    @Inject(DB) private readonly db: Db,
    @Inject(LastUsed) private readonly lastUsed: LastUsed,
    @Inject(BACKGROUND) private readonly background: Background,
  ) {}

  onApplicationBootstrap(): void {
    for (const each of this.background) each.start();
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.background.map((each) => each.stop()));
    await this.lastUsed.settle();
    await this.db.$disconnect();
  }
}
