import { type ChannelRow, channels, facts, type GroupRow } from '@vivarium/access/decide.conformance';
import type { Product } from '@vivarium/testkit/product';
import { type Answered, ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { Publisher } from './publisher.js';
import type { Secrets } from './secrets.js';

/** Where the requests of the model come from, unless a line says otherwise. */
const HOME = '198.51.100.77';

/** The people, organizations, groups, packages and tokens of the access model, in a running product. */
export class World {
  readonly #product: Product;
  readonly #tokens = new Map<string, string>();
  /** `acme/tools` → the digest of its wheel, which is part of its address. */
  readonly wheels = new Map<string, string>();

  private constructor(product: Product) {
    this.#product = product;
  }

  /** The product must believe what 127.0.0.1 says of where a request comes from. */
  static async make(product: Product, secrets: Secrets): Promise<World> {
    const world = new World(product);
    const root = await Publisher.admin(product, secrets);
    const people = new Map<string, Publisher>();
    for (const login of facts.people) {
      const who = await root.makeUser(login);
      people.set(login, who);
      world.#tokens.set(login, await who.makeToken({ name: 'everything' }));
    }
    for (const superuser of facts.superusers)
      await root.expectCall(200, 'PATCH', `/users/${superuser}`, { superuser: true });
    const of = (login: string) => people.get(login) ?? root;
    for (const [login, row] of Object.entries(facts.organizations)) await world.#makeOrganization(of, login, row);
    for (const [login, row] of Object.entries(channels)) await world.#fill(of, login, row);
    // One makes tokens for channels that one knows; who was in a group when the tokens were made has left it since.
    await of('eve').expectCall(204, 'PUT', '/group/rival/visitors/members/ann');
    await world.#makeTokens(of, secrets);
    await of('eve').expectCall(204, 'DELETE', '/group/rival/visitors/members/ann');
    await of('ann').expectCall(204, 'DELETE', '/group/acme/devs/members/old');
    return world;
  }

  /** One request as a person or token of the model makes it, or as anybody. */
  ask(
    who: string,
    path: string,
    options: { method?: string; body?: object; from?: string; accept?: string } = {},
  ): Promise<Answered> {
    const { method = 'GET', body, from = HOME, accept = '*/*' } = options;
    const token = this.#tokens.get(who);
    if (token === undefined && who !== 'anonymous') throw new Error(`nobody is called ${who}`);
    return ask(this.#product.url, {
      method,
      rawPath: path,
      headers: {
        Accept: accept,
        'X-Forwarded-For': from,
        ...(token === undefined
          ? {}
          : { Authorization: path.startsWith('/api') ? `token ${token}` : `Bearer ${token}` }),
        ...(method === 'GET' ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** As a reader of repositories shows its token: in the address. */
  read(who: string, path: string, options: { from?: string; accept?: string } = {}): Promise<Answered> {
    const token = this.#tokens.get(who);
    const { from = HOME, accept = '*/*' } = options;
    const at = token === undefined ? path : path.replace(/^\/(conda|pypi)\//, `/$1/t/${token}/`);
    return ask(this.#product.url, { rawPath: at, headers: { Accept: accept, 'X-Forwarded-For': from } });
  }

  /** Everybody who may ask. */
  get callers(): readonly string[] {
    return ['anonymous', ...this.#tokens.keys()];
  }

  async #makeOrganization(of: (login: string) => Publisher, login: string, row: ChannelRow): Promise<void> {
    const [owner = ''] = row.owners ?? [];
    await of(owner).expectCall(201, 'POST', '/organizations', { login, name: login });
    // A member without any rights is in a group that covers nothing.
    const idle = (row.members ?? []).filter(
      (one) => !Object.values(row.groups ?? {}).some(({ members }) => members.includes(one)),
    );
    const groups: Readonly<Record<string, GroupRow>> = {
      ...row.groups,
      ...(idle.length === 0 ? {} : { visitors: { permission: 'read', members: idle, packages: [] } }),
    };
    for (const [name, group] of Object.entries(groups)) {
      const all = group.packages === 'all';
      await of(owner).expectCall(204, 'POST', `/group/${login}/${name}`, {
        perms: group.permission,
        all_packages: all,
      });
      // One of them will have left when the questions are asked.
      const members = login === 'acme' && name === 'devs' ? [...group.members, 'old'] : group.members;
      for (const member of members) await of(owner).expectCall(204, 'PUT', `/group/${login}/${name}/members/${member}`);
    }
  }

  async #fill(of: (login: string) => Publisher, login: string, row: ChannelRow): Promise<void> {
    const owner = of(row.owners?.[0] ?? login);
    for (const [name, { visibility, python = name, collaborators = {} }] of Object.entries(row.packages)) {
      // Private from the first moment, as the model is asked only when all of it stands.
      await owner.expectCall(200, 'POST', `/package/${login}/${name}`, { public: false });
      for (const subdir of ['noarch', 'linux-64', 'osx-64']) {
        await owner.upload(condaPackage({ name, version: '1.0', subdir }), { owner: login, labels: ['main', 'dev'] });
      }
      // Under the spelling of the package, which the project joins.
      const distribution = { ...wheel({ name: python, version: '1.0' }), name };
      await owner.upload(distribution, { owner: login, labels: ['main', 'rc'] });
      this.wheels.set(`${login}/${name}`, distribution.sha256);
      for (const [collaborator, permission] of Object.entries(collaborators)) {
        await owner.expectCall(201, 'PUT', `/packages/${login}/${name}/collaborators/${collaborator}`, { permission });
      }
      if (visibility !== 'private') await owner.expectCall(200, 'PATCH', `/package/${login}/${name}`, { visibility });
    }
    for (const [group, { packages }] of Object.entries(row.groups ?? {})) {
      for (const name of packages === 'all' ? [] : packages) {
        await owner.expectCall(204, 'PUT', `/group/${login}/${group}/packages/${name}`);
      }
    }
    if (row.default !== 'public') {
      await owner.expectCall(200, 'PUT', `/packages/${login}/default-visibility`, { visibility: row.default });
    }
  }

  async #makeTokens(of: (login: string) => Publisher, secrets: Secrets): Promise<void> {
    for (const [name, row] of Object.entries(facts.tokens)) {
      const organization = facts.organizations[row.of];
      const { channels: only, packages, labels, subdirs, addresses: cidrs } = row;
      const lists = { channels: only, packages, labels, subdirs, cidrs };
      const restrict = Object.fromEntries(Object.entries(lists).filter(([, list]) => list !== undefined));
      const body = {
        note: name,
        scopes: row.scopes,
        user: organization === undefined ? null : row.of,
        ...(Object.keys(restrict).length === 0 ? {} : { restrict }),
      };
      const maker = of(organization?.owners?.[0] ?? row.of);
      const { token } = (await maker.expectCall(200, 'POST', '/authentications', body)).json<{ token: string }>();
      this.#tokens.set(name, secrets.keep(`token ${name}`, token));
    }
  }
}
