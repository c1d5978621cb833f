import { createHash, randomBytes } from 'node:crypto';
import { Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import type { FactVersion } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { type Invalidation, InvalidationSchema } from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { Accounts, Sessions } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Fault } from '@vivarium/fault/fault';
import { Invalidations, invalidationSubject } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import { subscribeEvent } from '@vivarium/rpc/events';
import { LocalExchange } from '@vivarium/rpc/local';
import { createBusService } from '@vivarium/rpc/nest';
import { clientOf, serve } from '@vivarium/rpc/rpc';
import { Trust } from '@vivarium/trust/trust';
import { startDatabase, type TestDatabase } from './database.fixture.js';
import { identityModule } from './module.js';
import type { IdentityPorts } from './ports.js';

export const ADMIN = { login: 'admin', password: 'the first password' } as const;

/** How a test signs in. */
export type Credential =
  | { readonly token: string }
  | { readonly session: string }
  | { readonly login: string; readonly password: string };

/** The service on a local bus and a real PostgreSQL, with a clock that tests may set forward. */
export class RunningIdentity {
  readonly heard: Invalidation[] = [];
  readonly logged: string[] = [];
  /** `<organization id> <user id>` of those that authz calls owners and members. */
  readonly owners = new Set<string>();
  readonly members = new Set<string>();
  standingVersion = 1n;
  isAuthzAway = false;
  aheadMs = 0;
  readonly clock = (): number => Date.now() + this.aheadMs;

  private constructor(
    readonly database: TestDatabase,
    readonly bus: Bus,
    private readonly secret: string,
    private readonly ends: (() => Promise<unknown>)[],
  ) {}

  static async start(more: Partial<IdentityPorts> = {}): Promise<RunningIdentity> {
    const database = await startDatabase();
    const bus = new LocalExchange().connect({ error: console.error });
    const identity = new RunningIdentity(database, bus, randomBytes(32).toString('hex'), []);
    await identity.#serve(more);
    return identity;
  }

  async stop(): Promise<void> {
    for (const end of this.ends) await end();
    await this.bus.drain();
    await this.database.stop();
  }

  trustOf(service: string): Trust {
    return new Trust({ service, secret: this.secret, bus: this.bus, clock: this.clock });
  }

  readonly callers = () => clientOf(Callers, this.bus);

  async asService(service = 'packages') {
    return clientOf(Callers, this.bus, { assertion: await this.trustOf(service).assertionFor('identity') });
  }

  whoIs(credential: Credential, audiences: readonly string[] = [], address = '') {
    return this.callers().whoIs({ credential: credentialOf(credential), audiences: [...audiences], address });
  }

  /** Clients that call as the credential's caller. */
  async as(credential: Credential) {
    const { assertions } = await this.whoIs(credential, ['identity']);
    const options = { assertion: assertions.identity ?? '', timeoutMs: 10_000 };
    return {
      assertion: options.assertion,
      accounts: clientOf(Accounts, this.bus, options),
      sessions: clientOf(Sessions, this.bus, options),
      tokens: clientOf(Tokens, this.bus, options),
    };
  }

  async createUser(login: string, password = `the password of ${login}`) {
    const { accounts } = await this.as(ADMIN);
    const { account } = await accounts.createUser({ login, password, email: `${login}@example.org` });
    return { login, password, id: account?.id ?? '' };
  }

  async createToken(credential: Credential, request: Parameters<ReturnType<typeof tokensOf>['create']>[0]) {
    const { tokens } = await this.as(credential);
    return tokens.create({ scopes: ['all'], failIfExists: true, ...request });
  }

  /** What was announced since `from`, as `tag version`. */
  newsSince(from: number): string[][] {
    return this.heard.slice(from).map(({ facts }) => facts.map(({ tag, version }) => `${tag} ${version}`));
  }

  async #serve(more: Partial<IdentityPorts>): Promise<void> {
    const { database, bus, clock, secret, ends } = this;
    const { pool } = database;
    const invalidations = new Invalidations({ service: 'identity', pool, bus, log: (line) => this.logged.push(line) });
    await invalidations.start();
    await subscribeEvent(bus, InvalidationSchema, invalidationSubject('identity'), (each) => this.heard.push(each));
    await this.#serveAuthz();
    const write = (...parts: unknown[]) => this.logged.push(JSON.stringify(parts));
    const log = { error: write, warn: write, info: write, debug: write };
    const trust = this.trustOf('identity');
    const reservedLogins = new Set(['api', 'conda', 'pypi']);
    const service = await createBusService(
      identityModule({ bus, pool, trust, invalidations, log, clock, secret, reservedLogins, ...more }),
      bus,
      log,
      { logger: false },
    );
    await service.listen();
    ends.push(
      () => service.close(),
      () => invalidations.stop(),
    );
  }

  /** Another service's contract, answered from the two sets. */
  async #serveAuthz(): Promise<void> {
    const trust = this.trustOf('authz');
    const viewOf = async ({ accountId, channelId }: { accountId: string; channelId: string }) => {
      const who = `${channelId} ${accountId}`;
      const owner = this.owners.has(who);
      return {
        standing: { owner, member: owner || this.members.has(who), groups: [] },
        versions: [{ tag: `standing:${channelId}`, version: this.standingVersion }],
      };
    };
    await serve(
      Views,
      {
        viewOf: async (request, call) => {
          await trust.serviceOf(call);
          return viewOf(request);
        },
        ownersOf: async ({ organizationId }, call) => {
          await trust.serviceOf(call);
          if (this.isAuthzAway) throw new Fault('unavailable', 'authz does not answer');
          const owners = [...this.owners].filter((who) => who.startsWith(`${organizationId} `));
          return { accountIds: owners.map((who) => who.slice(organizationId.length + 1)) };
        },
      },
      this.bus,
      { error: console.error },
    );
  }
}

export function sha256Of(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

export function versionOf(versions: readonly FactVersion[], tag: string): bigint | undefined {
  return versions.find((each) => each.tag.startsWith(tag))?.version;
}

function tokensOf(bus: Bus) {
  return clientOf(Tokens, bus);
}

function credentialOf(credential: Credential) {
  if ('token' in credential) return { case: 'tokenSha256', value: sha256Of(credential.token) } as const;
  if ('session' in credential) return { case: 'sessionSha256', value: sha256Of(credential.session) } as const;
  return { case: 'password', value: credential } as const;
}
