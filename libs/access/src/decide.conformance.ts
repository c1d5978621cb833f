// The access model in rows, read: what the tests of the function, of every API and of the whole product are held against.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { audienceOf, type Grant, type Permission, type Visibility } from './audience.js';
import { ANONYMOUS, type Caller, type Credential } from './caller.js';
import { RESOURCE_KINDS, USES, type Use, VERBS, type Verb } from './cut.js';
import type { Facts, Resource } from './decide.js';
import type { Scope } from './scope.js';
import { STRANGER_STANDING, type Standing } from './standing.js';

export interface PackageRow {
  readonly visibility: Visibility;
  readonly python?: string;
  readonly collaborators?: Readonly<Record<string, Permission>>;
}
export interface GroupRow {
  readonly permission: Permission;
  readonly members: readonly string[];
  readonly packages: readonly string[] | 'all';
}
export interface ChannelRow {
  readonly default: Visibility;
  readonly owners?: readonly string[];
  readonly members?: readonly string[];
  readonly groups?: Readonly<Record<string, GroupRow>>;
  readonly packages: Readonly<Record<string, PackageRow>>;
}
export interface TokenRow {
  readonly of: string;
  readonly scopes: readonly Scope[];
  readonly channels?: readonly string[];
  readonly packages?: readonly string[];
  readonly labels?: readonly string[];
  readonly subdirs?: readonly string[];
  readonly addresses?: readonly string[];
}
export interface Model {
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

/** The access model, as its file has it. */
export const model: Model = parse(readFileSync(new URL('./decide.yaml', import.meta.url), 'utf8'));
/** Who and what there is in it. */
export const { facts } = model;
/** Its channels, of organizations and users. */
export const channels: Readonly<Record<string, ChannelRow>> = { ...facts.organizations, ...facts.users };

const LINE =
  /^(\S+) (creates|reads|writes|administers|owns) (?:(channel|organization) (\S+)|(package) ([^/\s]+)\/(\S+)|(groups|tokens|audit) of (\S+))(?: through (\S+))?(?: under (\S+))?(?: in (\S+))?(?: from (\S+))?$/;
const VERB_OF: Readonly<Record<string, Verb>> = {
  creates: 'create',
  reads: 'read',
  writes: 'write',
  administers: 'admin',
  owns: 'own',
};

export interface Question {
  readonly caller: Caller;
  readonly facts: Facts & { readonly channel: { readonly audiences: readonly ReturnType<typeof audienceOf>[] } };
  readonly verb: Verb;
  readonly resource: Resource;
}

/** What a line asks, as the function that decides takes it. Throws an Error for a line that cannot be read. */
export function questionOf(line: string): Question {
  const match = LINE.exec(line);
  if (match === null) throw new Error(`cannot read the line "${line}"`);
  const [
    ,
    who = '',
    word = '',
    whole,
    wholeOf,
    one,
    oneOf,
    name,
    parts,
    partsOf,
    door = 'api',
    labels,
    subdir,
    address,
  ] = match;
  const kind = known(RESOURCE_KINDS, whole ?? one ?? parts ?? '');
  const login = wholeOf ?? oneOf ?? partsOf ?? '';
  const use = known(USES, door);
  const verb = VERB_OF[word] ?? known(VERBS, word);
  const { caller, account } = callerOf(who);
  const row = name === undefined ? undefined : channelOf(login).packages[name];
  if (name !== undefined && row === undefined && verb !== 'create') throw new Error(`no package ${login}/${name}`);
  const names = name === undefined ? undefined : namesOf(name, row, use);
  return {
    caller,
    verb,
    facts: {
      standing: standingOf(account, login),
      channel: {
        id: login,
        login,
        ownerId: login,
        defaultVisibility: channelOf(login).default,
        audiences: Object.entries(channelOf(login).packages).map(([key, other]) =>
          audienceOf(accessOf(login, key, other)),
        ),
      },
      package:
        row === undefined || name === undefined ? undefined : { ...accessOf(login, name, row), names: names ?? [] },
      grants: Object.entries(channelOf(login).packages).flatMap(([key, other]) => accessOf(login, key, other).grants),
    },
    resource: { kind, use, names, label: labels?.split(','), subdir, address },
  };
}

function known<T extends string>(words: readonly T[], text: string): T {
  const word = words.find((other) => other === text);
  if (word === undefined) throw new Error(`"${text}" is none of ${words.join(', ')}`);
  return word;
}

function channelOf(login: string): ChannelRow {
  const row = channels[login];
  if (row === undefined) throw new Error(`no channel ${login}`);
  return row;
}

/** The names that a package has by this door. */
export function namesOf(name: string, row: PackageRow | undefined, use: Use): readonly string[] {
  const python = row?.python ?? name;
  if (use === 'pypi' || use === 'upload:pypi') return [python];
  return use === 'api' || use === 'upload' ? [...new Set([name, python])] : [name];
}

/** Who may read a package of the model, and who has rights on it. */
export function accessOf(login: string, name: string, row: PackageRow): { visibility: Visibility; grants: Grant[] } {
  const groups = Object.entries(channelOf(login).groups ?? {}).filter(
    ([, group]) => group.packages !== 'all' && group.packages.includes(name),
  );
  return {
    visibility: row.visibility,
    grants: [
      ...groups.map(([id, group]): Grant => ({ kind: 'group', id: `${login}.${id}`, permission: group.permission })),
      ...Object.entries(row.collaborators ?? {}).map(([id, permission]): Grant => ({ kind: 'user', id, permission })),
    ],
  };
}

/** The caller of that name: a person, a token, or `anonymous`. */
export function callerOf(who: string): { caller: Caller; account: string | null } {
  if (who === 'anonymous') return { caller: ANONYMOUS, account: null };
  const row = facts.tokens[who];
  const login = row?.of ?? who;
  const isOrganization = facts.organizations[login] !== undefined;
  if (!isOrganization && !facts.people.includes(login)) throw new Error(`nobody is called ${login}`);
  if (isOrganization && row === undefined) throw new Error(`${login} asks through its tokens only`);
  return {
    account: login,
    caller: {
      kind: 'account',
      accountId: login,
      login,
      accountKind: isOrganization ? 'organization' : 'user',
      superuser: facts.superusers.includes(login),
      credential: row === undefined ? { kind: 'session', id: `${login}-session` } : tokenCredential(who, row),
    },
  };
}

function tokenCredential(name: string, row: TokenRow): Credential {
  const { channels: only, packages, labels, subdirs, addresses: cidrs } = row;
  return {
    kind: 'token',
    id: name,
    name,
    scopes: row.scopes,
    restrictions: { channels: only, packages, labels, subdirs, cidrs },
  };
}

/** What an account is in a channel of the model. */
export function standingOf(account: string | null, login: string): Standing {
  if (account === null) return STRANGER_STANDING;
  const row = channelOf(login);
  const owner = account === login || (row.owners ?? []).includes(account);
  const groups = Object.entries(row.groups ?? {}).filter(([, group]) => group.members.includes(account));
  return {
    owner,
    member: owner || (row.members ?? []).includes(account),
    groups: groups.map(([name, group]) => ({
      id: `${login}.${name}`,
      name,
      permission: group.permission,
      all: group.packages === 'all',
    })),
  };
}

export interface Row {
  readonly title: string;
  readonly line: string;
  readonly allowed: boolean;
  /** Words that the reason holds. */
  readonly reason: string;
}

/** Every line of the model, with what it says. */
export const rows: readonly Row[] = model.chapters.flatMap(({ title, allow = {}, deny = {} }) => [
  ...Object.entries(allow).map(([line, reason]) => ({ title, line, allowed: true, reason })),
  ...Object.entries(deny).map(([line, reason]) => ({ title, line, allowed: false, reason })),
]);
