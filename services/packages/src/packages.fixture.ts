import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, type DescService, type MessageInitShape } from '@bufbuild/protobuf';
import type { Blobs } from '@vivarium/blobs/blobs';
import { stagingKey } from '@vivarium/blobs/keys';
import { openBlobs } from '@vivarium/blobs/open-blobs';
import { readConfig } from '@vivarium/boot/config';
import { openLog } from '@vivarium/boot/log';
import { FindGroupIdResponseSchema, GroupIds } from '@vivarium/contracts/gen/vivarium/authz/v1/group_ids_pb';
import { Memberships } from '@vivarium/contracts/gen/vivarium/authz/v1/memberships_pb';
import { Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import { type Caller, CallerSchema, type StandingSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { InvalidationSchema } from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { AccountNames } from '@vivarium/contracts/gen/vivarium/identity/v1/account_names_pb';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { ChannelData } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import { ChannelReadableSchema, Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Copies } from '@vivarium/contracts/gen/vivarium/packages/v1/copies_pb';
import { Downloads } from '@vivarium/contracts/gen/vivarium/packages/v1/downloads_pb';
import { Feed } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Files } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Collaborators, Grants } from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { Labels } from '@vivarium/contracts/gen/vivarium/packages/v1/labels_pb';
import { Notices } from '@vivarium/contracts/gen/vivarium/packages/v1/notices_pb';
import { Packages, Releases } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Search } from '@vivarium/contracts/gen/vivarium/packages/v1/search_pb';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Transfers, Visibilities } from '@vivarium/contracts/gen/vivarium/packages/v1/transfers_pb';
import { Upkeep } from '@vivarium/contracts/gen/vivarium/packages/v1/upkeep_pb';
import { migrate } from '@vivarium/db/migrate';
import { openPool } from '@vivarium/db/open';
import { startTemporaryPostgres } from '@vivarium/db/temporary';
import { Fault, isFault } from '@vivarium/fault/fault';
import { Invalidations, invalidationSubject } from '@vivarium/invalidation/invalidations';
import { AssertionSigner } from '@vivarium/rpc/assertion';
import { makeAssertionKey } from '@vivarium/rpc/assertion-key';
import type { Bus } from '@vivarium/rpc/bus';
import { publishEvent, subscribeEvent } from '@vivarium/rpc/events';
import { LocalExchange } from '@vivarium/rpc/local';
import { createBusService } from '@vivarium/rpc/nest';
import { clientOf, serve } from '@vivarium/rpc/rpc';
import { claimsOf } from '@vivarium/trust/caller';
import { Trust } from '@vivarium/trust/trust';
import type { Pool } from 'pg';
import { type Inspector, inlineInspector } from './inspection.js';
import { packagesModule } from './module.js';

/** Failures that a test provokes are its own to look at; others end its call. */
const QUIET = {
  error({ err }: Readonly<Record<string, unknown>>, message: string) {
    if (!isFault(err) || err.code !== 'unavailable') console.error(message, err);
  },
};

/** A file on its way, as a client holds it. */
export interface Sent {
  readonly channel: string;
  readonly package: string;
  readonly version: string;
  readonly basename: string;
  readonly kind: string;
  readonly bytes: Uint8Array;
  readonly labels?: readonly string[];
}

/** The service packages on a real PostgreSQL, with the services that it asks played from tables. */
export class RunningPackages {
  readonly revoked = new Set<string>();
  readonly standings = new Map<string, MessageInitShape<typeof StandingSchema>>();
  readonly accounts = new Map<string, { readonly id: string; readonly kind: string }>();
  /** `<organization id> <name>` → a group of it. */
  readonly groups = new Map<string, MessageInitShape<typeof FindGroupIdResponseSchema>>();
  /** Uses left of tokens with a limit. */
  readonly uses = new Map<string, number>();
  /** What is done when somebody is about to write, before the answer that they may. */
  beforeRecheck: () => Promise<void> = async () => undefined;
  indexing = true;
  /** What other services were asked. */
  readonly heard: string[] = [];

  private constructor(
    readonly bus: Bus,
    readonly pool: Pool,
    readonly blobs: Blobs,
    private readonly secret: string,
    private readonly signer: AssertionSigner,
    readonly stop: () => Promise<void>,
  ) {}

  static async start(
    options: { readonly inspector?: (blobs: Blobs) => Inspector; readonly blobs?: Blobs } = {},
  ): Promise<RunningPackages> {
    const dataDir = await mkdtemp(join(tmpdir(), 'vivarium-packages-'));
    const postgres = await startTemporaryPostgres();
    const dir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));
    const line = () => undefined;
    await migrate({ url: postgres.url, migrations: [{ schema: 'packages', dir }], log: line });
    const pool = openPool({ url: postgres.url, schema: 'packages', applicationName: 'packages test', log: line });
    const bus = new LocalExchange().connect(QUIET);
    const blobs = options.blobs ?? (await openBlobs({ folder: join(dataDir, 'blobs') }));
    const secret = randomBytes(32).toString('hex');
    const config = readConfig({ DATA_DIR: dataDir, VIVARIUM_SECRET: secret, LOG_LEVEL: 'silent' }, 'all');
    const invalidations = new Invalidations({ service: 'packages', pool, bus, log: line });
    await invalidations.start();
    const clock = Date.now;
    const trust = new Trust({ service: 'packages', secret, bus, clock });
    const key = await makeAssertionKey(0);
    const log = openLog({ service: 'packages', level: 'silent' });
    const inspector = (options.inspector ?? inlineInspector)(blobs);
    const ports = { service: 'packages', config, bus, log, trust, clock, pool, invalidations, blobs, inspector };
    const service = await createBusService(packagesModule(ports), bus, QUIET, { logger: false });
    await service.listen();
    const running = new RunningPackages(bus, pool, blobs, secret, new AssertionSigner([key], clock), async () => {
      await service.close();
      await invalidations.stop();
      await bus.drain();
      await pool.end();
      await postgres.stop();
      await blobs.close();
      await rm(dataDir, { recursive: true, force: true });
    });
    await running.#serveOthers(JSON.stringify({ keys: [{ ...publicPartOf(key.privateJwk), kid: key.kid }] }));
    return running;
  }

  /** A user with a channel. */
  user(login: string): Caller {
    this.accounts.set(login, { id: `id-${login}`, kind: 'user' });
    return create(CallerSchema, {
      accountId: `id-${login}`,
      login,
      accountKind: 'user',
      credentialKind: 'session',
      credentialId: `session-${login}`,
    });
  }

  /** An organization with a channel, and the user who is its owner. */
  organization(login: string, owner: Caller): string {
    const id = `id-${login}`;
    this.accounts.set(login, { id, kind: 'organization' });
    this.group(id, { name: 'owners', permission: 'admin', all: true }, [owner]);
    this.standings.set(`${owner.accountId} ${id}`, { ...this.standings.get(`${owner.accountId} ${id}`), owner: true });
    return id;
  }

  /** A group of an organization, with its members. */
  group(
    organizationId: string,
    group: { readonly name: string; readonly permission: string; readonly all?: boolean },
    members: readonly Caller[],
  ): string {
    const { name, permission, all = false } = group;
    const id = `group-${organizationId}-${name}`;
    this.groups.set(`${organizationId} ${name}`, { id, name, permission, allPackages: all });
    for (const { accountId } of members) {
      const key = `${accountId} ${organizationId}`;
      const before = this.standings.get(key);
      const groups = [...(before?.groups ?? []), { id, name, permission, all }];
      this.standings.set(key, { owner: before?.owner ?? false, member: true, groups });
    }
    return id;
  }

  /** A token of an account. */
  token(of: Caller, id: string, init: Partial<Pick<Caller, 'scopes' | 'restrictions' | 'limitedUses'>> = {}): Caller {
    return create(CallerSchema, { ...of, scopes: ['all'], ...init, credentialKind: 'token', credentialId: id });
  }

  stages = (caller: Caller | undefined) => this.#clientOf(Stages, caller);
  packages = (caller: Caller | undefined) => this.#clientOf(Packages, caller);
  releases = (caller: Caller | undefined) => this.#clientOf(Releases, caller);
  files = (caller: Caller | undefined) => this.#clientOf(Files, caller);

  labels = (caller: Caller | undefined) => this.#clientOf(Labels, caller);
  copies = (caller: Caller | undefined) => this.#clientOf(Copies, caller);
  search = (caller: Caller | undefined) => this.#clientOf(Search, caller);
  grants = (caller: Caller | undefined) => this.#clientOf(Grants, caller);
  notices = (caller: Caller | undefined) => this.#clientOf(Notices, caller);
  collaborators = (caller: Caller | undefined) => this.#clientOf(Collaborators, caller);
  visibilities = (caller: Caller | undefined) => this.#clientOf(Visibilities, caller);
  transfers = (caller: Caller | undefined) => this.#clientOf(Transfers, caller);

  async gateway() {
    const assertion = await this.assertionOf('gateway');
    return {
      stages: clientOf(Stages, this.bus, { assertion }),
      files: clientOf(Files, this.bus, { assertion }),
      channels: clientOf(Channels, this.bus, { assertion }),
      channelData: clientOf(ChannelData, this.bus, { assertion }),
      downloads: clientOf(Downloads, this.bus, { assertion }),
    };
  }

  async feed(service = 'conda-index') {
    return clientOf(Feed, this.bus, { assertion: await this.assertionOf(service) });
  }

  async upkeep(service = 'platform') {
    return clientOf(Upkeep, this.bus, { assertion: await this.assertionOf(service), timeoutMs: 30_000 });
  }

  /** Every difference that a check of the channels and of all blobs finds. */
  async differences(
    channelIds: readonly string[],
    asked: { readonly bytes?: boolean; readonly repair?: boolean } = {},
  ) {
    const upkeep = await this.upkeep();
    const found: string[] = [];
    for (const channelId of ['', ...channelIds]) {
      for (let after = ''; ; ) {
        const page = await upkeep.check({ channelId, bytes: true, objects: true, ...asked, after });
        found.push(...page.differences.map(({ what }) => what));
        if (page.next === '') break;
        after = page.next;
      }
    }
    return found;
  }

  assertionOf(service: string): Promise<string> {
    return new Trust({ service, secret: this.secret, bus: this.bus, clock: Date.now }).assertionFor('packages');
  }

  /** Opens a stage and lets the gateway take the bytes in. Gives the path to commit. */
  async send(caller: Caller, sent: Sent) {
    const { bytes, labels = [], ...path } = sent;
    const { stageId } = await (await this.stages(caller)).open({ ...path, labels: [...labels] });
    await this.receive(stageId, bytes);
    return { stageId, channel: path.channel, package: path.package, version: path.version, basename: path.basename };
  }

  async receive(stageId: string, bytes: Uint8Array): Promise<string> {
    const key = stagingKey(randomBytes(12).toString('hex'));
    await this.blobs.put(key, bytes);
    const { stages } = await this.gateway();
    await stages.receive({ stageId, stagingKey: key, ...measuresOf(bytes) });
    return key;
  }

  async upload(caller: Caller, sent: Sent) {
    const path = await this.send(caller, sent);
    return (await this.stages(caller)).commit(path, { timeoutMs: 30_000 });
  }

  async submit(caller: Caller, channel: string, file: { readonly filename: string; readonly bytes: Uint8Array }) {
    const key = stagingKey(randomBytes(12).toString('hex'));
    await this.blobs.put(key, file.bytes);
    const request = { channel, kind: 'pypi', basename: file.filename, stagingKey: key, ...measuresOf(file.bytes) };
    return (await this.stages(caller)).submit(request, { timeoutMs: 30_000 });
  }

  /** Everything that a refused upload must leave as it was. */
  async state(): Promise<Readonly<Record<string, unknown>>> {
    const counts =
      await this.pool.query(`SELECT (SELECT count(*) FROM packages) packages, (SELECT count(*) FROM files) files,
      (SELECT count(*) FROM releases) releases, (SELECT count(*) FROM blobs) blobs, (SELECT count(*) FROM pins) pins,
      (SELECT sum(generation) FROM channels) generations, (SELECT count(*) FROM changes) changes`);
    const keys: string[] = [];
    for await (const { key } of this.blobs.list('')) keys.push(key);
    return { ...counts.rows[0], keys: keys.sort() };
  }

  async #clientOf<S extends DescService>(contract: S, caller: Caller | undefined) {
    const assertion = caller === undefined ? {} : { assertion: await this.signer.sign(claimsOf(caller), 'packages') };
    return clientOf(contract, this.bus, assertion);
  }

  async #serveOthers(jwksJson: string): Promise<void> {
    const never = async () => {
      throw new Fault('internal', 'Nobody asks this here.');
    };
    const identity = {
      keys: async () => ({ jwksJson }),
      recheck: async ({ caller }: { caller?: Caller | undefined }) => {
        await this.beforeRecheck();
        if (caller === undefined || this.revoked.has(caller.credentialId)) {
          throw new Fault('unauthenticated', 'this token was revoked');
        }
        return { caller };
      },
      whoIs: never,
      use: async ({ tokenId }: { tokenId: string }) => {
        const left = this.uses.get(tokenId) ?? 0;
        if (left === 0) throw new Fault('unauthenticated', 'this token has no uses left');
        this.uses.set(tokenId, left - 1);
        return { remaining: BigInt(left - 1) };
      },
    };
    await serve(Callers, identity, this.bus, QUIET);
    const find = async ({ by }: { by: { case: string | undefined; value?: string | undefined } }) => {
      this.heard.push('account');
      const account = this.accounts.get(by.value ?? '');
      if (account === undefined) throw new Fault('not_found', 'There is no such account.');
      return { account: { ...account, login: by.value ?? '' } };
    };
    await serve(Accounts, { find, createUser: never, setPassword: never }, this.bus, QUIET);
    const ofIds = async ({ ids }: { ids: readonly string[] }) => ({
      accounts: [...this.accounts]
        .filter(([, { id }]) => ids.includes(id))
        .map(([login, account]) => ({ ...account, login, name: `the name of ${login}` })),
    });
    await serve(AccountNames, { ofIds }, this.bus, QUIET);
    const findGroup = async ({ organizationId, name }: { organizationId: string; name: string }) => {
      const group = this.groups.get(`${organizationId} ${name}`);
      if (group === undefined) throw new Fault('not_found', 'There is no such group.');
      return group;
    };
    await serve(GroupIds, { find: findGroup }, this.bus, QUIET);
    const viewOf = async ({ accountId, channelId }: { accountId: string; channelId: string }) => {
      this.heard.push('standing');
      return { standing: this.standings.get(`${accountId} ${channelId}`) ?? { owner: accountId === channelId } };
    };
    await serve(Views, { viewOf, ownersOf: never }, this.bus, QUIET);
    const of = async ({ accountId }: { accountId: string }) => ({
      memberships: [...this.standings].flatMap(([key, { groups = [] }]) => {
        const [account, channelId = ''] = key.split(' ');
        if (account !== accountId) return [];
        return groups.map(({ id = '', name = '', permission = '', all = false }) => {
          return { channelId, groupId: id, groupName: name, permission, all };
        });
      }),
    });
    await serve(Memberships, { of }, this.bus, QUIET);
    await subscribeEvent(this.bus, InvalidationSchema, invalidationSubject('packages'), ({ facts }) => {
      for (const { tag, version } of this.indexing ? facts : []) {
        const channelId = /^channel:(.*)$/.exec(tag)?.[1];
        if (channelId === undefined) continue;
        for (const kind of ['conda', 'pypi']) {
          const news = { channelId, kind, generation: version };
          publishEvent(this.bus, ChannelReadableSchema, `readable.${channelId}.${kind}`, news);
        }
      }
    });
  }
}

function measuresOf(bytes: Uint8Array) {
  return {
    sha256: createHash('sha256').update(bytes).digest('hex'),
    md5: createHash('md5').update(bytes).digest('hex'),
    sizeBytes: BigInt(bytes.length),
  };
}

function publicPartOf({ kty, crv, x }: { readonly kty?: string; readonly crv?: string; readonly x?: string }) {
  return { kty, crv, x };
}
