import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { create } from '@bufbuild/protobuf';
import type { Audience } from '@vivarium/access/audience';
import type { PackageFacts } from '@vivarium/access/decide';
import { AuditTrail } from '@vivarium/contracts/gen/vivarium/authz/v1/audit_trail_pb';
import { Decisions } from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { Groups } from '@vivarium/contracts/gen/vivarium/authz/v1/groups_pb';
import { Organizations } from '@vivarium/contracts/gen/vivarium/authz/v1/organizations_pb';
import type { ListAuditRequest } from '@vivarium/contracts/gen/vivarium/common/v1/audit_pb';
import { type Caller, CallerSchema, type Restrictions } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { AccountNames } from '@vivarium/contracts/gen/vivarium/identity/v1/account_names_pb';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Audit as IdentityAudit } from '@vivarium/contracts/gen/vivarium/identity/v1/audit_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Inbox } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { NamedTokens } from '@vivarium/contracts/gen/vivarium/identity/v1/named_tokens_pb';
import { OrganizationAccounts } from '@vivarium/contracts/gen/vivarium/identity/v1/organization_accounts_pb';
import { AccessFacts } from '@vivarium/contracts/gen/vivarium/packages/v1/access_facts_pb';
import { Audit as PackagesAudit } from '@vivarium/contracts/gen/vivarium/packages/v1/audit_pb';
import { ChannelEnds } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_ends_pb';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { migrate } from '@vivarium/db/migrate';
import { openPool } from '@vivarium/db/open';
import { startTemporaryPostgres } from '@vivarium/db/temporary';
import { Fault } from '@vivarium/fault/fault';
import { Invalidations } from '@vivarium/invalidation/invalidations';
import { AssertionSigner } from '@vivarium/rpc/assertion';
import { makeAssertionKey } from '@vivarium/rpc/assertion-key';
import type { Bus } from '@vivarium/rpc/bus';
import { LocalExchange } from '@vivarium/rpc/local';
import { createBusService } from '@vivarium/rpc/nest';
import { clientOf, serve } from '@vivarium/rpc/rpc';
import { claimsOf } from '@vivarium/trust/caller';
import { audienceToProto } from '@vivarium/trust/messages';
import { Trust } from '@vivarium/trust/trust';
import type { Pool } from 'pg';
import { addOrganization } from './add-organization.js';
import { addGroup, type GroupSettings } from './change-groups.js';
import { addMember, removeMember } from './change-members.js';
import { type Db, openDb } from './db.js';
import { authzModule } from './module.js';
import type { AuthzPorts } from './ports.js';
import { changeStanding } from './standing.js';

const QUIET = { error: console.error };

export interface PlayedAccount {
  readonly id: string;
  readonly login: string;
  readonly kind: string;
  readonly name: string;
  readonly superuser?: boolean;
}

export interface PlayedEvent {
  readonly id: string;
  readonly ownerId: string;
  readonly action: string;
}

export interface PlayedToken {
  readonly scopes: string[];
  readonly refusal: string;
  readonly restrictions?: Restrictions;
}

/** What of a caller a test says. */
type Said = Partial<
  Pick<Caller, 'accountId' | 'accountKind' | 'address' | 'credentialId' | 'login' | 'scopes' | 'superuser'>
> & { readonly restrictions?: Partial<Record<'channels' | 'packages' | 'cidrs', string[]>> };

/** The service on a local bus and a real PostgreSQL, with identity and packages played from tables. */
export class RunningAuthz {
  /** By login. */
  readonly accounts = new Map<string, PlayedAccount>();
  /** Logins whose account was deleted. */
  readonly deleted = new Set<string>();
  /** Ids of credentials. */
  readonly revoked = new Set<string>();
  /** Packages by login of the channel. */
  readonly packages = new Map<string, number>();
  /** Channels that nobody sees who is nothing in them. */
  readonly hidden = new Set<string>();
  /** Packages, by `<channel id> <name>`. */
  readonly facts = new Map<string, PackageFacts>();
  /** Audiences of the packages of a channel, by its login. */
  readonly audiences = new Map<string, readonly Audience[]>();
  /** Tokens, by `<owner id> <name>`. */
  readonly tokens = new Map<string, PlayedToken>();
  /** What identity and packages wrote down, newest first. */
  readonly trails = { identity: [] as PlayedEvent[], packages: [] as PlayedEvent[] };
  /** Calls that other services received, as `<service> <what> <login>`. */
  readonly received: string[] = [];
  /** Messages that identity took, by their keys. */
  readonly messages = new Map<string, { readonly accountId: string; readonly kind: string; readonly text: string }>();
  /** What identity does when it is brought a message. */
  beforeMessage: () => Promise<void> = async () => undefined;
  /** What happens when identity is asked who somebody is. */
  beforeFind: (login: string) => Promise<void> = async () => undefined;
  /** What identity does when it is told of an account. */
  beforeAccount: () => Promise<void> = async () => undefined;

  private constructor(
    readonly bus: Bus,
    readonly db: Db,
    readonly pool: Pool,
    private readonly secret: string,
    private readonly signer: AssertionSigner,
    private readonly ports: Omit<AuthzPorts, 'organizations'>,
    readonly stop: () => Promise<void>,
  ) {}

  static async start(init: Partial<Pick<AuthzPorts, 'organizations'>> = {}): Promise<RunningAuthz> {
    const postgres = await startTemporaryPostgres();
    const { url } = postgres;
    const [log, clock] = [() => undefined, Date.now];
    const dir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));
    await migrate({ url, migrations: [{ schema: 'authz', dir }], log });
    const pool = openPool({ url, schema: 'authz', applicationName: 'authz test', log });
    const bus = new LocalExchange().connect(QUIET);
    const secret = randomBytes(32).toString('hex');
    const invalidations = new Invalidations({ service: 'authz', pool, bus, log });
    await invalidations.start();
    const trust = new Trust({ service: 'authz', secret, bus, clock });
    const key = await makeAssertionKey(0);
    const ports = { bus, pool, trust, invalidations, clock, log: { warn: log } };
    const service = await createBusService(authzModule({ ...ports, organizations: 'everybody', ...init }), bus, QUIET, {
      logger: false,
    });
    await service.listen();
    const db = openDb(pool);
    const running = new RunningAuthz(bus, db, pool, secret, new AssertionSigner([key], clock), ports, async () => {
      await service.close();
      await invalidations.stop();
      await bus.drain();
      await db.$disconnect();
      await pool.end();
      await postgres.stop();
    });
    const { kty, crv, x } = key.privateJwk;
    await running.#serveIdentity(JSON.stringify({ keys: [{ kty, crv, x, kid: key.kid }] }));
    await running.#servePackages();
    return running;
  }

  /** The assertion of a service that calls authz. */
  assertionOf(service: string): Promise<string> {
    return new Trust({ service, secret: this.secret, bus: this.bus, clock: Date.now }).assertionFor('authz');
  }

  /** A user who is signed in. */
  user(login: string, init: Said = {}): Caller {
    const { superuser = false } = init;
    this.accounts.set(login, { id: `id-${login}`, login, kind: 'user', name: login.toUpperCase(), superuser });
    const credential = { credentialKind: 'session', credentialId: `session-${login}` };
    return create(CallerSchema, { accountId: `id-${login}`, login, accountKind: 'user', ...credential, ...init });
  }

  /** A token of that caller's account. */
  token(of: Caller, init: Said = {}): Caller {
    const credential = { credentialKind: 'token', credentialId: `token-${of.login}`, tokenName: 'ci', scopes: ['all'] };
    const { accountId, login, accountKind } = of;
    return create(CallerSchema, { accountId, login, accountKind, ...credential, ...init });
  }

  /** Clients that call as somebody; as anybody without a caller. */
  async as(caller: Caller | undefined) {
    const assertion = caller === undefined ? {} : { assertion: await this.signer.sign(claimsOf(caller), 'authz') };
    const options = { ...assertion, timeoutMs: 30_000 };
    return this.#clients(options);
  }

  /** Clients of another service. */
  async asService(service: string) {
    return this.#clients({ assertion: await this.assertionOf(service), timeoutMs: 30_000 });
  }

  #clients(options: { readonly assertion?: string; readonly timeoutMs: number }) {
    return {
      auditTrail: clientOf(AuditTrail, this.bus, options),
      decisions: clientOf(Decisions, this.bus, options),
      groups: clientOf(Groups, this.bus, options),
      organizations: clientOf(Organizations, this.bus, options),
    };
  }

  /** Makes an organization past all rights. Gives the id of its group `owners`. */
  async addOrganization(accountId: string, ownerId: string): Promise<string> {
    return (await addOrganization({ db: this.db, clock: Date.now }, { accountId, ownerId })).ownersGroupId;
  }

  /** Makes a group past all rights and gives its id. */
  addGroup(organizationId: string, settings: GroupSettings): Promise<string> {
    return this.#change(organizationId, async (tx) => {
      return (await addGroup(tx, { ...settings, organizationId }, new Date())).id;
    });
  }

  async addMember(groupId: string, accountId: string): Promise<void> {
    const { organizationId } = await this.#groupOf(groupId);
    await this.#change(organizationId, (tx) => addMember(tx, { id: groupId }, accountId, new Date()));
  }

  async removeMember(groupId: string, accountId: string): Promise<void> {
    const group = await this.#groupOf(groupId);
    await this.#change(group.organizationId, (tx) => removeMember(tx, group, { id: accountId, login: accountId }));
  }

  async #groupOf(id: string) {
    const group = await this.db.group.findUnique({ where: { id } });
    if (group === null) throw new Fault('not_found', `There is no group with the id ${id}.`);
    return group;
  }

  #change<T>(organizationId: string, change: Parameters<typeof changeStanding<T>>[2]): Promise<T> {
    return changeStanding({ ...this.ports, db: this.db }, organizationId, change);
  }

  #byId(id: string): PlayedAccount | undefined {
    return [...this.accounts.values()].find((each) => each.id === id && !this.deleted.has(each.login));
  }

  async #serveIdentity(jwksJson: string): Promise<void> {
    const never = async () => {
      throw new Fault('internal', 'Nobody asks this here.');
    };
    const recheck = async ({ caller }: { caller?: Caller | undefined }) => {
      if (caller !== undefined && !this.revoked.has(caller.credentialId)) return { caller };
      throw new Fault('unauthenticated', 'this token was revoked');
    };
    await serve(Callers, { keys: async () => ({ jwksJson }), recheck, whoIs: never, use: never }, this.bus, QUIET);
    const find = async ({ by }: { by: { case: string | undefined; value?: string | undefined } }) => {
      await this.beforeFind(by.value ?? '');
      const account = by.case === 'id' ? this.#byId(by.value ?? '') : this.accounts.get(by.value ?? '');
      if (account !== undefined && !this.deleted.has(account.login)) return { account };
      throw new Fault('not_found', 'There is no such account.');
    };
    await serve(Accounts, { find, createUser: never, setPassword: never }, this.bus, QUIET);
    const ofIds = async ({ ids }: { ids: string[] }) => ({
      accounts: ids.flatMap((id) => this.#byId(id) ?? []),
    });
    await serve(AccountNames, { ofIds }, this.bus, QUIET);
    for (const [contract, name] of [
      [IdentityAudit, 'identity'],
      [PackagesAudit, 'packages'],
    ] as const) {
      const list = async ({ everything, ownerId, beforeId, limit }: ListAuditRequest) => {
        const events = this.trails[name].filter(
          (event) => (everything || event.ownerId === ownerId) && (beforeId === '' || event.id < beforeId),
        );
        return { events: events.slice(0, limit), more: events.length > limit };
      };
      await serve(contract, { list }, this.bus, QUIET);
    }
    await serve(
      NamedTokens,
      {
        find: async ({ ownerId, name }) => {
          const token = this.tokens.get(`${ownerId} ${name}`);
          if (token === undefined) throw new Fault('not_found', 'no such token');
          return { id: name, name, ...token };
        },
      },
      this.bus,
      QUIET,
    );
    await serve(
      Inbox,
      {
        deliver: async ({ key, accountId, kind, text }) => {
          await this.beforeMessage();
          this.messages.set(key, { accountId, kind, text });
          return {};
        },
        list: never,
        markRead: never,
        delete: never,
      },
      this.bus,
      QUIET,
    );
    await serve(
      OrganizationAccounts,
      {
        create: async ({ id, login, name }) => {
          await this.beforeAccount();
          this.received.push(`identity create ${login}`);
          if (this.accounts.has(login)) throw new Fault('conflict', `The login ${login} is taken; choose another.`);
          const account = { id, login, name, kind: 'organization' };
          this.accounts.set(login, account);
          return { account };
        },
        update: async ({ id, name }) => {
          const account = this.#byId(id);
          if (account === undefined) throw new Fault('not_found', 'gone');
          const changed = { ...account, name: name ?? account.name };
          this.accounts.set(account.login, changed);
          return { account: changed };
        },
        delete: async ({ id }) => {
          await this.beforeAccount();
          const login = this.#byId(id)?.login ?? '';
          this.received.push(`identity delete ${login}`);
          this.deleted.add(login);
          return {};
        },
      },
      this.bus,
      QUIET,
    );
  }

  async #servePackages(): Promise<void> {
    await serve(
      Channels,
      {
        find: async ({ login }) => {
          const account = this.accounts.get(login);
          if (account === undefined) throw new Fault('not_found', 'no such channel');
          const defaultVisibility = this.hidden.has(login) ? 'private' : 'public';
          const audiences = (this.audiences.get(login) ?? []).map(audienceToProto);
          return { channel: { ...account, defaultVisibility, audiences }, versions: [] };
        },
        await: async () => ({}),
      },
      this.bus,
      QUIET,
    );
    await serve(
      AccessFacts,
      {
        ofPackage: async ({ channelId, name }) => {
          const facts = this.facts.get(`${channelId} ${name}`);
          if (facts === undefined) return { found: false };
          return { found: true, ...facts, grants: [...facts.grants], names: [...facts.names] };
        },
        grantedTo: async ({ channelId, userId, groupIds }) => {
          const here = [...this.facts].filter(([key]) => key.startsWith(`${channelId} `));
          const grants = here.flatMap(([, facts]) => facts.grants);
          return { grants: grants.filter(({ id }) => id === userId || groupIds.includes(id)) };
        },
      },
      this.bus,
      QUIET,
    );
    await serve(
      ChannelEnds,
      {
        close: async ({ login, deletePackages }) => {
          const packages = this.packages.get(login) ?? 0;
          if (packages > 0 && !deletePackages) throw new Fault('conflict', `${login} still holds packages`);
          this.received.push(`packages close ${login}`);
          this.packages.delete(login);
          return { packages: BigInt(packages) };
        },
      },
      this.bus,
      QUIET,
    );
  }
}
