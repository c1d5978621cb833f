import fc from 'fast-check';
import { admitReader } from './admission.js';
import { audienceOf, type Grant, PERMISSIONS, type Permission, VISIBILITIES, type Visibility } from './audience.js';
import { ANONYMOUS, type Caller, type Credential } from './caller.js';
import { RESOURCE_KINDS, type ResourceKind, USES, type Use, VERBS, type Verb } from './cut.js';
import { facts, model, type Question, questionOf, rows } from './decide.conformance.js';
import { decide, type Facts, type PackageFacts, type Resource } from './decide.js';
import type { Restrictions } from './restriction.js';
import { isScope, SCOPES, type Scope } from './scope.js';
import { STRANGER_STANDING, type Standing } from './standing.js';
import { sees } from './view.js';

/** What the reader of indexes and artifacts would be given of the package. */
function isShown({ caller, facts: { standing, channel }, resource }: Question, one: PackageFacts): boolean {
  const { use, label, subdir, address } = resource;
  const admission = admitReader({ caller, standing, channel, use, label, subdir, address });
  if (admission.kind === 'deny') return admission.admitsPublic && one.visibility === 'public';
  const inSubdir = use === 'pypi' || use === 'upload:pypi' || subdir === undefined ? {} : { subdir };
  return one.names.some((name) => sees(admission.view, { audience: audienceOf(one), name, ...inSubdir }));
}

describe.each(model.chapters.map(({ title }) => title))('%s', (title) => {
  it.each(
    rows.filter((row) => row.title === title).map((row) => [row.allowed ? 'allows' : 'denies', row.line, row] as const),
  )('%s: %s', (_, line, row) => {
    const question = questionOf(line);
    const decision = decide(question.caller, question.facts, question.verb, question.resource);
    expect(decision).toMatchObject({ allow: row.allowed, reason: expect.stringContaining(row.reason) });
    const one = question.facts.package;
    if (question.verb === 'read' && one !== undefined) expect(isShown(question, one)).toBe(row.allowed);
  });
});

describe('the model', () => {
  it('is long enough to be read as the whole truth, and decides nothing twice', () => {
    expect(rows.length).toBeGreaterThan(200);
    expect(new Set(rows.map((row) => row.line)).size).toBe(rows.length);
  });

  it('names every fact in some line', () => {
    const text = rows.map((row) => row.line).join('\n');
    const unused = [...facts.people, ...Object.keys(facts.tokens)].filter(
      (name) => !new RegExp(`^${name} `, 'm').test(text),
    );
    expect(unused).toEqual([]);
  });
});

const EVERY_SCOPE = Object.keys(SCOPES).filter(isScope);
const permission = fc.constantFrom(...PERMISSIONS);
const grants: fc.Arbitrary<Grant[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('group' as const), id: fc.constantFrom('g1', 'g2', 'g3'), permission }),
    fc.record({ kind: fc.constant('user' as const), id: fc.constantFrom('bob', 'eve'), permission }),
  ),
  { maxLength: 3 },
);
const access = fc.record({ visibility: fc.constantFrom(...VISIBILITIES), grants });
const standings: fc.Arbitrary<Standing> = fc
  .record({
    owner: fc.boolean(),
    member: fc.boolean(),
    groups: fc.uniqueArray(fc.record({ id: fc.constantFrom('g1', 'g2', 'g3'), permission, all: fc.boolean() }), {
      maxLength: 2,
      selector: (group) => group.id,
    }),
  })
  .map((one) => (one.owner || one.groups.length > 0 ? { ...one, member: true } : one));
const optional = <T>(values: readonly T[]) => fc.option(fc.subarray([...values], { minLength: 1 }), { nil: undefined });
const restrictions: fc.Arbitrary<Restrictions> = fc.record({
  channels: optional(['acme', 'other']),
  packages: optional(['a*', 'b', 'c?']),
  labels: optional(['main', 'dev']),
  subdirs: optional(['linux-64', 'osx-64']),
  cidrs: optional(['10.0.0.0/8', '192.0.2.0/24']),
});
const credentials: fc.Arbitrary<Credential> = fc.oneof(
  fc.constant<Credential>({ kind: 'session', id: 's' }),
  fc.record({
    kind: fc.constant('token' as const),
    id: fc.constant('t'),
    scopes: fc.subarray(EVERY_SCOPE, { minLength: 1 }),
    restrictions,
  }),
);
const callers: fc.Arbitrary<Caller> = fc.oneof(
  fc.constant(ANONYMOUS),
  fc.record({
    kind: fc.constant('account' as const),
    accountId: fc.constantFrom('bob', 'acme', 'other'),
    login: fc.constant('bob'),
    accountKind: fc.constantFrom('user', 'organization'),
    superuser: fc.boolean(),
    credential: credentials,
  }),
);
const resources = fc.record({
  use: fc.constantFrom(...USES),
  label: fc.constantFrom<Resource['label']>(undefined, 'main', 'dev', ['main', 'dev'], []),
  subdir: fc.constantFrom(undefined, 'linux-64', 'osx-64', 'win-64', 'noarch'),
  address: fc.constantFrom(undefined, '10.1.2.3', '192.0.2.1', '203.0.113.1'),
});
const packages = fc.array(
  access.chain((one) =>
    fc.subarray(['a', 'b', 'c', 'cc'], { minLength: 1, maxLength: 2 }).map((names) => ({ ...one, names })),
  ),
  { minLength: 1, maxLength: 4 },
);

describe('deciding to read a package', () => {
  it('is the same as finding it in the view that indexes and artifacts are served from', () => {
    const seen = { allowed: 0, denied: 0 };
    fc.assert(
      fc.property(
        callers,
        standings,
        fc.constantFrom(...VISIBILITIES),
        packages,
        resources,
        (caller, standing, defaultVisibility, all, how) => {
          const channel = {
            id: 'acme',
            login: 'acme',
            ownerId: 'acme',
            defaultVisibility,
            audiences: all.map(audienceOf),
          };
          for (const one of all) {
            const resource: Resource = { kind: 'package', ...how };
            const question = { caller, facts: { standing, channel, package: one }, verb: 'read', resource } as const;
            const decision = decide(caller, question.facts, 'read', resource);
            expect([decision.reason, decision.allow]).toEqual([decision.reason, isShown(question, one)]);
            seen[decision.allow ? 'allowed' : 'denied']++;
          }
        },
      ),
      { numRuns: 20_000 },
    );
    expect(Math.min(seen.allowed, seen.denied)).toBeGreaterThan(5000);
  });
});

describe('a token', () => {
  const anyResource = resources.chain((how) =>
    fc
      .constantFrom(...RESOURCE_KINDS)
      .map((kind): Resource => ({ kind, names: kind === 'package' ? ['a'] : undefined, ...how })),
  );
  const world = fc.record({
    standing: standings,
    defaultVisibility: fc.constantFrom(...VISIBILITIES),
    one: access,
    others: fc.array(access, { maxLength: 2 }),
  });
  const factsOf = ({
    standing,
    defaultVisibility,
    one,
    others,
  }: {
    standing: Standing;
    defaultVisibility: Visibility;
    one: { visibility: Visibility; grants: Grant[] };
    others: { visibility: Visibility; grants: Grant[] }[];
  }): Facts => ({
    standing,
    channel: {
      id: 'acme',
      login: 'acme',
      ownerId: 'acme',
      defaultVisibility,
      audiences: [one, ...others].map(audienceOf),
    },
    package: { ...one, names: ['a'] },
    grants: [one, ...others].flatMap((other) => other.grants),
  });

  it('never exceeds its owner, and reads what a stranger reads unless it is used from the wrong address', () => {
    fc.assert(
      fc.property(callers, world, fc.constantFrom(...VERBS), anyResource, (caller, given, verb, resource) => {
        if (caller.kind === 'anonymous') return;
        const all = factsOf(given);
        const decision = decide(caller, all, verb, resource);
        const session: Caller = { ...caller, credential: { kind: 'session', id: 's' } };
        if (decision.allow) expect(decide(session, all, verb, resource).allow).toBe(true);
        const strangers = { ...all, standing: STRANGER_STANDING };
        const stranger = decide(ANONYMOUS, strangers, verb, resource).allow;
        if (!stranger || decision.allow) return;
        expect(verb).toBe('read');
        // Public packages are read by all; an index that a token would see only in part is refused, with the reason.
        expect(decision.reason).toMatch(
          resource.kind === 'package' ? /may not be used from/ : /^this token|^the token/,
        );
      }),
      { numRuns: 10_000 },
    );
  });

  it('limited to labels changes no file that carries none of them, not even one without labels', () => {
    const labelled = tokenWith(['all'], { labels: ['dev'] });
    const mine: Facts = {
      standing: { owner: true, member: true, groups: [] },
      channel: { id: 'acme', login: 'acme', ownerId: 'acme', defaultVisibility: 'public' },
      package: { visibility: 'public', grants: [], names: ['a'] },
    };
    const allowed = [['dev'], ['main'], []].map(
      (label) => decide(labelled, mine, 'write', { kind: 'package', use: 'api', label }).allow,
    );
    expect(allowed).toEqual([true, false, false]);
  });

  it('of a superuser does what it would do without being one', () => {
    fc.assert(
      fc.property(callers, world, fc.constantFrom(...VERBS), anyResource, (caller, given, verb, resource) => {
        if (caller.kind === 'anonymous') return;
        const [plain, superuser] = [false, true].map((is) =>
          decide({ ...caller, superuser: is }, factsOf(given), verb, resource),
        );
        expect(superuser?.allow).toBe(plain?.allow);
      }),
      { numRuns: 3000 },
    );
  });

  it('with one scope more, does no less', () => {
    fc.assert(
      fc.property(
        fc.subarray(EVERY_SCOPE, { minLength: 1 }),
        fc.constantFrom(...EVERY_SCOPE),
        world,
        fc.constantFrom(...VERBS),
        anyResource,
        (scopes, more, given, verb, resource) => {
          const [less, wider] = [scopes, [...scopes, more]].map((held) =>
            decide(tokenWith(held), factsOf(given), verb, resource),
          );
          if (less?.allow === true) expect(wider?.allow).toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

function tokenWith(scopes: readonly Scope[], restrictions: Restrictions = {}): Caller {
  const credential: Credential = { kind: 'token', id: 't', scopes, restrictions };
  return { kind: 'account', accountId: 'bob', login: 'bob', accountKind: 'user', superuser: false, credential };
}

describe('no cell of the table is undecided', () => {
  const accounts = (scope: Scope): [string, Caller, Standing][] => {
    const group = (all: boolean, held: Permission): Standing => ({
      owner: false,
      member: true,
      groups: [{ id: 'g1', permission: held, all }],
    });
    const bob = tokenWith([scope]);
    if (bob.kind === 'anonymous') throw new Error('a token has an account');
    const org: Caller = { ...bob, accountId: 'acme', accountKind: 'organization' };
    const session: Caller = { ...bob, credential: { kind: 'session', id: 's' } };
    const owner: Standing = { owner: true, member: true, groups: [] };
    const standingsOf: [string, Standing][] = [
      ['stranger', STRANGER_STANDING],
      ['member', { owner: false, member: true, groups: [] }],
      ['owner', owner],
      ...PERMISSIONS.map((held): [string, Standing] => [`group ${held}`, group(false, held)]),
      ...PERMISSIONS.map((held): [string, Standing] => [`group on all ${held}`, group(true, held)]),
    ];
    return [
      ['anonymous', ANONYMOUS, STRANGER_STANDING],
      ...standingsOf.flatMap(([name, standing]): [string, Caller, Standing][] => [
        [`session of ${name}`, session, standing],
        [`superuser's session of ${name}`, { ...session, superuser: true }, standing],
        [`token of ${name}`, bob, standing],
      ]),
      ['organization at home', org, owner],
      ['organization abroad', { ...org, accountId: 'other' }, STRANGER_STANDING],
    ];
  };

  it('of caller × visibility × verb × scope × resource × door, and each says why', () => {
    let cells = 0;
    const allowed = new Map<Verb, number>();
    for (const scope of EVERY_SCOPE) {
      for (const [name, caller, standing] of accounts(scope)) {
        for (const visibility of VISIBILITIES) {
          for (const verb of VERBS) {
            for (const kind of RESOURCE_KINDS) {
              for (const use of USES) {
                const decision = cell(caller, standing, visibility, verb, kind, use);
                cells++;
                if (
                  typeof decision.allow !== 'boolean' ||
                  !/^\S.{9,}[^.\s]$/.test(decision.reason) ||
                  /undefined|null|\[object/.test(decision.reason)
                ) {
                  throw new Error(
                    `${name}, ${scope}, ${visibility}, ${verb}, ${kind}, ${use}: ${JSON.stringify(decision)}`,
                  );
                }
                if (decision.allow) allowed.set(verb, (allowed.get(verb) ?? 0) + 1);
              }
            }
          }
        }
      }
    }
    expect(cells).toBe(
      EVERY_SCOPE.length * 30 * VISIBILITIES.length * VERBS.length * RESOURCE_KINDS.length * USES.length,
    );
    expect([...allowed.keys()].sort()).toEqual([...VERBS].sort());
  });

  it('and nobody without an account changes anything anywhere', () => {
    for (const visibility of VISIBILITIES) {
      for (const verb of VERBS.filter((other) => other !== 'read')) {
        for (const kind of RESOURCE_KINDS) {
          for (const use of USES) {
            expect(cell(ANONYMOUS, STRANGER_STANDING, visibility, verb, kind, use)).toMatchObject({
              allow: false,
              code: 'unauthenticated',
            });
          }
        }
      }
    }
  });

  function cell(caller: Caller, standing: Standing, visibility: Visibility, verb: Verb, kind: ResourceKind, use: Use) {
    const one = { visibility, grants: [{ kind: 'group', id: 'g1', permission: 'admin' } as const] };
    const channel = {
      id: 'acme',
      login: 'acme',
      ownerId: 'acme',
      defaultVisibility: visibility,
      audiences: [audienceOf(one)],
    };
    const all: Facts = { standing, channel, package: { ...one, names: ['a'] }, grants: one.grants };
    return decide(caller, all, verb, { kind, use, names: ['a'] });
  }
});

describe('what a caller may not see', () => {
  const base = {
    standing: STRANGER_STANDING,
    channel: { id: 'acme', login: 'acme', ownerId: 'acme', defaultVisibility: 'public' },
  } as const;
  const hidden: Facts = { ...base, package: { visibility: 'private', grants: [], names: ['a'] } };
  const visible: Facts = { ...base, package: { visibility: 'public', grants: [], names: ['a'] } };
  const codeOf = (caller: Caller, all: Facts, verb: Verb, use: Use = 'api') => {
    const decision = decide(caller, all, verb, { kind: 'package', use });
    return decision.allow ? 'allow' : decision.code;
  };

  it.each<[string, Caller, Facts, Verb, string]>([
    ['a hidden package is missing to a stranger', ANONYMOUS, hidden, 'read', 'not_found'],
    ['a hidden package is missing to an account', tokenWith(['all']), hidden, 'read', 'not_found'],
    ['it is missing to one who would change it, too', tokenWith(['all']), hidden, 'write', 'not_found'],
    ['it is missing to a token without any scope for it', tokenWith(['repos']), hidden, 'read', 'not_found'],
    ['an anonymous change asks for a credential first', ANONYMOUS, hidden, 'write', 'unauthenticated'],
    ['and so it does on a public package', ANONYMOUS, visible, 'write', 'unauthenticated'],
    ['a change of a package that one may read is forbidden', tokenWith(['all']), visible, 'write', 'forbidden'],
  ])('%s', (_, caller, all, verb, code) => {
    expect(codeOf(caller, all, verb)).toBe(code);
  });

  it('is forbidden, not missing, where only the token stands in the way', () => {
    const mine: Facts = { ...hidden, standing: { owner: true, member: true, groups: [] } };
    expect(codeOf(tokenWith(['conda:download']), mine, 'read')).toBe('forbidden');
    expect(codeOf(tokenWith(['conda:download']), mine, 'read', 'conda')).toBe('allow');
  });
});
