import { readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { audienceOf, type Grant, type Permission, type Visibility } from '@vivarium/access/audience';
import { RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { parse } from 'yaml';
import { RunningAuthz } from './authz.fixture.js';

jest.setTimeout(120_000);

// The access model as people read it, held against the service that explains decisions, with its own groups and members.

interface PackageRow {
  readonly visibility: Visibility;
  readonly python?: string;
  readonly collaborators?: Readonly<Record<string, Permission>>;
}
interface GroupRow {
  readonly permission: Permission;
  readonly members: readonly string[];
  readonly packages: readonly string[] | 'all';
}
interface ChannelRow {
  readonly default: Visibility;
  readonly owners?: readonly string[];
  readonly members?: readonly string[];
  readonly groups?: Readonly<Record<string, GroupRow>>;
  readonly packages: Readonly<Record<string, PackageRow>>;
}
interface TokenRow {
  readonly of: string;
  readonly scopes: string[];
  readonly channels?: string[];
  readonly packages?: string[];
  readonly labels?: string[];
  readonly subdirs?: string[];
  readonly addresses?: string[];
}
interface Model {
  readonly facts: {
    readonly people: readonly string[];
    readonly superusers: readonly string[];
    readonly organizations: Readonly<Record<string, ChannelRow>>;
    readonly users: Readonly<Record<string, ChannelRow>>;
    readonly tokens: Readonly<Record<string, TokenRow>>;
  };
  readonly chapters: readonly {
    readonly title: string;
    readonly allow?: Readonly<Record<string, string>>;
    readonly deny?: Readonly<Record<string, string>>;
  }[];
}

const TABLE = new URL('../../../libs/access/src/decide.yaml', import.meta.url);
const { facts, chapters }: Model = parse(readFileSync(TABLE, 'utf8'));
const LINE =
  /^(\S+) (creates|reads|writes|administers|owns) (?:channel ([^/\s]+)|package ([^/\s]+)\/(\S+))(?: through (\S+))?(?: under ([^\s,]+))?(?: in (\S+))?(?: from (\S+))?$/;
const VERBS: Readonly<Record<string, string>> = {
  creates: 'create',
  reads: 'read',
  writes: 'write',
  administers: 'admin',
  owns: 'own',
};

// What concerns groups, organizations and their tokens, or several labels, is no question of this service.
const rows = chapters.flatMap(({ allow = {}, deny = {} }) => [
  ...Object.entries(allow).map(([line, reason]) => ({ line, allow: true, reason })),
  ...Object.entries(deny).map(([line, reason]) => ({ line, allow: false, reason })),
]);
const asked = rows.flatMap((row) => {
  const match = LINE.exec(row.line);
  return match === null ? [] : [{ ...row, match }];
});

let authz: RunningAuthz;

beforeAll(async () => {
  authz = await RunningAuthz.start();
  for (const login of facts.people) authz.user(login, { superuser: facts.superusers.includes(login) });
  for (const [login, row] of Object.entries(facts.organizations)) await makeOrganization(login, row);
  for (const [login, row] of Object.entries(facts.users)) await addPackages(login, row, new Map());
  for (const [name, { of, scopes, addresses: cidrs, ...lists }] of Object.entries(facts.tokens)) {
    const restrictions = create(RestrictionsSchema, {
      ...lists,
      channels: (lists.channels ?? []).map(idOf),
      cidrs: cidrs ?? [],
    });
    authz.tokens.set(`${idOf(of)} ${name}`, { scopes, refusal: '', restrictions });
  }
});
afterAll(() => authz.stop());

const idOf = (login: string) => `id-${login}`;

async function makeOrganization(login: string, row: ChannelRow): Promise<void> {
  authz.accounts.set(login, { id: idOf(login), login, kind: 'organization', name: '' });
  const owners = await authz.addOrganization(idOf(login), idOf(row.owners?.[0] ?? ''));
  for (const owner of row.owners ?? []) await authz.addMember(owners, idOf(owner));
  const ids = new Map<string, string>();
  for (const [name, { permission, members, packages }] of Object.entries(row.groups ?? {})) {
    const id = await authz.addGroup(idOf(login), { name, permission, allPackages: packages === 'all' });
    for (const member of members) await authz.addMember(id, idOf(member));
    ids.set(name, id);
  }
  // A member without a group of the table is here in one that covers nothing.
  const others = await authz.addGroup(idOf(login), { name: 'others', permission: 'admin', allPackages: false });
  for (const member of row.members ?? []) await authz.addMember(others, idOf(member));
  await addPackages(login, row, ids);
}

async function addPackages(login: string, row: ChannelRow, groups: ReadonlyMap<string, string>): Promise<void> {
  if (row.default === 'private') authz.hidden.add(login);
  for (const [name, { visibility, python, collaborators = {} }] of Object.entries(row.packages)) {
    const granted = Object.entries(row.groups ?? {}).filter(([, { packages }]) => packages.includes(name));
    const grants: Grant[] = [
      ...granted.map(([group, { permission }]): Grant => ({ kind: 'group', id: groups.get(group) ?? '', permission })),
      ...Object.entries(collaborators).map(([who, permission]): Grant => ({ kind: 'user', id: idOf(who), permission })),
    ];
    authz.facts.set(`${idOf(login)} ${name}`, {
      visibility,
      grants,
      names: python === undefined ? [name] : [name, python],
    });
    authz.audiences.set(login, [...(authz.audiences.get(login) ?? []), audienceOf({ visibility, grants })]);
  }
}

describe('the access model', () => {
  it('is asked about in most of its lines', () => {
    expect(asked.length).toBeGreaterThan(220);
    expect(asked.length / rows.length).toBeGreaterThan(0.75);
  });

  it.each(asked.map((row) => [row.allow ? 'allows' : 'denies', row.line, row] as const))(
    '%s: %s',
    async (_, __, row) => {
      const [, who = '', word = '', whole, owner, name = '', via = 'api', label = '', subdir = '', address = ''] =
        row.match;
      const of = facts.tokens[who]?.of;
      const { decisions } = await authz.asService('platform');
      const answer = await decisions.explain({
        as: of ?? who,
        token: of === undefined ? '' : who,
        verb: VERBS[word] ?? '',
        channel: whole ?? owner ?? '',
        package: name,
        via,
        label,
        subdir,
        address,
      });
      expect(answer).toMatchObject({ allow: row.allow, reason: expect.stringContaining(row.reason) });
    },
  );
});
