import fc from 'fast-check';
import { type Audience, audienceOf } from './audience.js';
import { ANONYMOUS, type Caller } from './caller.js';
import { STRANGER_STANDING } from './standing.js';
import {
  belongs,
  isCut,
  sees,
  strangerView,
  type View,
  viewInSubdir,
  viewKey,
  viewOf,
  withoutSubdirs,
} from './view.js';

const PUBLIC = audienceOf({ visibility: 'public', grants: [] });
const AUTHENTICATED = audienceOf({ visibility: 'authenticated', grants: [] });
const OWNERS = audienceOf({ visibility: 'private', grants: [] });
const DEVS = audienceOf({ visibility: 'private', grants: [{ kind: 'group', id: 'devs', permission: 'read' }] });
const BOBS = audienceOf({ visibility: 'private', grants: [{ kind: 'user', id: 'bob', permission: 'write' }] });
const ALL: readonly Audience[] = [PUBLIC, AUTHENTICATED, OWNERS, DEVS, BOBS];

const bob = (credential: Extract<Caller, { kind: 'account' }>['credential']): Caller => ({
  kind: 'account',
  accountId: 'bob',
  login: 'bob',
  accountKind: 'user',
  superuser: false,
  credential,
});
const session = bob({ kind: 'session', id: 's' });
const devs = { id: 'devs', permission: 'read', all: false } as const;

const views: fc.Arbitrary<View> = fc.record({
  everything: fc.boolean(),
  signedIn: fc.boolean(),
  principals: fc.subarray(['group:devs', 'group:ops', 'user:bob', 'user:eve']),
  globs: fc.option(fc.subarray(['a*', 'b*', 'c'], { minLength: 1 }), { nil: undefined }),
  subdirs: fc.option(fc.subarray(['linux-64', 'osx-64'], { minLength: 1 }), { nil: undefined }),
});

describe('belongs', () => {
  it.each<[string, View, string[]]>([
    ['a stranger', strangerView(), ['public']],
    ['an account', { everything: false, signedIn: true, principals: ['user:eve'] }, ['public', 'authenticated']],
    ['bob', { everything: false, signedIn: true, principals: ['user:bob'] }, ['public', 'authenticated', BOBS.id]],
    ['a dev', { everything: false, signedIn: true, principals: ['group:devs'] }, ['public', 'authenticated', DEVS.id]],
    ['an owner', { everything: true, signedIn: true, principals: [] }, ALL.map((a) => a.id)],
  ])('gives %s the right audiences', (_, view, ids) => {
    expect(ALL.filter((audience) => belongs(view, audience)).map((a) => a.id)).toEqual(ids);
  });

  it('takes no group for a user of the same id', () => {
    const view = { everything: false, signedIn: true, principals: ['user:devs'] };
    expect(belongs(view, DEVS)).toBe(false);
  });
});

describe('viewOf', () => {
  it('makes principals of the account and its groups', () => {
    const view = viewOf(session, { owner: false, member: true, groups: [devs] }, 'acme');
    expect(view).toEqual({ everything: false, signedIn: true, principals: ['group:devs', 'user:bob'] });
  });

  it.each([
    [{ owner: true, member: true, groups: [] }, true],
    [{ owner: false, member: true, groups: [{ ...devs, all: true }] }, true],
    [{ owner: false, member: true, groups: [] }, false],
  ])('of %j shows everything: %s', (standing, everything) => {
    expect(viewOf(session, standing, 'acme').everything).toBe(everything);
  });

  it('of an anonymous caller, and of an organization abroad, is the stranger’s', () => {
    const org: Caller = {
      kind: 'account',
      accountId: 'acme',
      login: 'acme',
      accountKind: 'organization',
      superuser: false,
      credential: { kind: 'token', id: 't', scopes: ['all'], restrictions: {} },
    };
    const owner = { owner: true, member: true, groups: [] };
    expect(viewOf(ANONYMOUS, owner, 'acme')).toBe(strangerView());
    expect(viewOf(org, owner, 'other')).toBe(strangerView());
    expect(viewOf(org, owner, 'acme').everything).toBe(true);
  });

  it('carries the globs and subdirs of a token', () => {
    const token = bob({
      kind: 'token',
      id: 't',
      scopes: ['all'],
      restrictions: { packages: ['a*'], subdirs: ['linux-64'] },
    });
    expect(viewOf(token, STRANGER_STANDING, 'acme')).toMatchObject({ globs: ['a*'], subdirs: ['linux-64'] });
  });
});

describe('sees', () => {
  it('shows every view at least what a stranger sees', () => {
    const thing = fc.record({
      audience: fc.constantFrom(...ALL),
      name: fc.constantFrom('a1', 'b1', 'c', 'd'),
      subdir: fc.constantFrom('linux-64', 'osx-64', 'win-64', 'noarch'),
    });
    fc.assert(
      fc.property(views, thing, (view, at) => {
        if (sees(strangerView(), at)) expect(sees(view, at)).toBe(true);
        expect(sees(viewInSubdir(view, at.subdir), at)).toBe(sees(view, at));
      }),
      { numRuns: 1000 },
    );
  });

  it('cuts what is not public by name and subdir', () => {
    const view = { everything: true, signedIn: true, principals: [], globs: ['a*'], subdirs: ['linux-64'] };
    expect(sees(view, { audience: DEVS, name: 'a1', subdir: 'linux-64' })).toBe(true);
    expect(sees(view, { audience: DEVS, name: 'a1', subdir: 'noarch' })).toBe(true);
    expect(sees(view, { audience: DEVS, name: 'a1', subdir: 'osx-64' })).toBe(false);
    expect(sees(view, { audience: DEVS, name: 'b1', subdir: 'linux-64' })).toBe(false);
    expect(sees(view, { audience: PUBLIC, name: 'b1', subdir: 'osx-64' })).toBe(true);
  });

  it('has no subdirs for Python', () => {
    const view = withoutSubdirs({ everything: true, signedIn: true, principals: [], subdirs: ['linux-64'] });
    expect(view).toEqual({ everything: true, signedIn: true, principals: [] });
  });
});

describe('viewKey', () => {
  const names = ['a1', 'b1', 'c', 'd'];
  const shown = (view: View, audiences: readonly Audience[]) =>
    audiences.flatMap((audience) =>
      names.flatMap((name) =>
        ['linux-64', 'win-64', 'noarch'].map((subdir) => [
          audience.id,
          name,
          subdir,
          sees(view, { audience, name, subdir }),
        ]),
      ),
    );

  it('is shared only by callers who see the same', () => {
    let shared = 0;
    fc.assert(
      fc.property(views, views, fc.subarray([...ALL]), (one, other, audiences) => {
        if (viewKey(one, audiences, 'i') !== viewKey(other, audiences, 'i')) return;
        shared++;
        expect(shown(one, audiences)).toEqual(shown(other, audiences));
      }),
      { numRuns: 3000 },
    );
    expect(shared).toBeGreaterThan(100);
  });

  it('is shared by all uncut callers who see the same, whoever they are', () => {
    fc.assert(
      fc.property(views, views, fc.subarray([...ALL]), (one, other, audiences) => {
        const [first, second] = [
          { ...one, globs: undefined, subdirs: undefined },
          { ...other, globs: undefined, subdirs: undefined },
        ];
        const same = JSON.stringify(shown(first, audiences)) === JSON.stringify(shown(second, audiences));
        expect(viewKey(first, audiences, 'i') === viewKey(second, [...audiences].reverse(), 'i')).toBe(same);
      }),
      { numRuns: 1000 },
    );
  });

  it('tells a stranger nothing of hidden audiences, and is a stranger’s where a cut has nothing to cut', () => {
    expect(viewKey(strangerView(), [PUBLIC], 'i')).toBe(viewKey(strangerView(), ALL, 'i'));
    const cut = { everything: false, signedIn: true, principals: ['user:eve'], globs: ['a*'] };
    expect(isCut(cut, [PUBLIC, DEVS])).toBe(false);
    expect(viewKey(cut, [PUBLIC, DEVS], 'i')).toBe(viewKey(strangerView(), [PUBLIC, DEVS], 'i'));
  });

  it('changes with the incarnation', () => {
    expect(viewKey(strangerView(), ALL, 'i')).not.toBe(viewKey(strangerView(), ALL, 'j'));
    expect(viewKey(strangerView(), ALL, 'i')).toMatch(/^[0-9a-f]{32}$/);
  });

  it('of a view inside an admitted subdir is that of the uncut view', () => {
    const cut = { everything: true, signedIn: true, principals: [], subdirs: ['linux-64'] };
    const whole = { everything: true, signedIn: true, principals: [] };
    expect(viewKey(viewInSubdir(cut, 'linux-64'), ALL, 'i')).toBe(viewKey(whole, ALL, 'i'));
    expect(viewKey(viewInSubdir(cut, 'noarch'), ALL, 'i')).toBe(viewKey(whole, ALL, 'i'));
    expect(viewKey(viewInSubdir(cut, 'osx-64'), ALL, 'i')).toBe(viewKey(strangerView(), ALL, 'i'));
  });
});
