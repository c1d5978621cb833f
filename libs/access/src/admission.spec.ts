import { type Admission, admitReader, hiddenChannelFault, type ReaderFacts } from './admission.js';
import { type Audience, audienceOf, type Visibility } from './audience.js';
import { ANONYMOUS, type Caller } from './caller.js';
import type { Restrictions } from './restriction.js';
import type { Scope } from './scope.js';
import { STRANGER_STANDING, type Standing } from './standing.js';
import { belongs, strangerView } from './view.js';

const PUBLIC = audienceOf({ visibility: 'public', grants: [] });
const AUTHENTICATED = audienceOf({ visibility: 'authenticated', grants: [] });
const OWNERS = audienceOf({ visibility: 'private', grants: [] });
const DEVS = audienceOf({ visibility: 'private', grants: [{ kind: 'group', id: 'devs', permission: 'read' }] });
const BOBS = audienceOf({ visibility: 'private', grants: [{ kind: 'user', id: 'bob', permission: 'read' }] });

const OWNER: Standing = { owner: true, member: true, groups: [] };
const MEMBER: Standing = { owner: false, member: true, groups: [] };
const DEV: Standing = { owner: false, member: true, groups: [{ id: 'devs', permission: 'read', all: false }] };

function acme(defaultVisibility: Visibility, audiences: readonly Audience[]) {
  return { id: 'acme', login: 'acme', ownerId: 'acme', defaultVisibility, audiences };
}
function account(login: string, credential: Extract<Caller, { kind: 'account' }>['credential']): Caller {
  const accountKind = login === 'acme' || login === 'other' ? 'organization' : 'user';
  return { kind: 'account', accountId: login, login, accountKind, superuser: login === 'root', credential };
}
const session = (login: string) => account(login, { kind: 'session', id: 's' });
const token = (login: string, scopes: readonly Scope[], restrictions: Restrictions = {}) =>
  account(login, { kind: 'token', id: 't', scopes, restrictions });

function admit(caller: Caller, standing: Standing, channel: ReaderFacts['channel'], more: Partial<ReaderFacts> = {}) {
  return admitReader({ caller, standing, channel, use: 'conda', ...more });
}
/** The audiences shown, or the code and reason. */
function outcome(admission: Admission, channel: ReaderFacts['channel']): readonly string[] | string {
  if (admission.kind === 'deny') return `${admission.code}: ${admission.reason}`;
  return channel.audiences.filter((audience) => belongs(admission.view, audience)).map((audience) => audience.id);
}

const open = acme('public', [PUBLIC, AUTHENTICATED, OWNERS, DEVS, BOBS]);
const openEmpty = acme('public', []);
const openPublic = acme('public', [PUBLIC]);
const closed = acme('private', [OWNERS, DEVS, BOBS]);
const closedEmpty = acme('private', []);
const signedInOnly = acme('authenticated', [AUTHENTICATED]);

describe('without a token', () => {
  const hidden401 = `unauthenticated: ${hiddenChannelFault(ANONYMOUS, 'acme').message}`;
  const hidden403 = 'forbidden: channel "acme" does not exist, or eve may not read it';
  it.each<[string, Caller, Standing, ReaderFacts['channel'], readonly string[] | string]>([
    ['anybody sees the public packages', ANONYMOUS, STRANGER_STANDING, open, ['public']],
    ['anybody sees an empty open channel', ANONYMOUS, STRANGER_STANDING, openEmpty, []],
    ['nobody sees an empty closed channel', ANONYMOUS, STRANGER_STANDING, closedEmpty, hidden401],
    ['an anonymous caller sees no closed channel', ANONYMOUS, STRANGER_STANDING, closed, hidden401],
    ['an anonymous caller sees no channel of signed-in people', ANONYMOUS, STRANGER_STANDING, signedInOnly, hidden401],
    [
      'a public package opens a closed channel',
      ANONYMOUS,
      STRANGER_STANDING,
      acme('private', [PUBLIC, OWNERS]),
      ['public'],
    ],
    [
      'a signed-in stranger sees what is for the signed-in',
      session('eve'),
      STRANGER_STANDING,
      open,
      ['public', 'authenticated'],
    ],
    ['a signed-in stranger sees no closed channel', session('eve'), STRANGER_STANDING, closed, hidden403],
    [
      'a signed-in stranger sees no empty one whose default is authenticated',
      session('eve'),
      STRANGER_STANDING,
      acme('authenticated', []),
      hidden403,
    ],
    ['a collaborator sees the package', session('bob'), STRANGER_STANDING, closed, [BOBS.id]],
    ['a dev sees what the devs see', session('bea'), DEV, closed, [DEVS.id]],
    ['a member without a group sees the channel, empty', session('mia'), MEMBER, closed, []],
    ['an owner sees everything', session('ann'), OWNER, closed, [OWNERS.id, DEVS.id, BOBS.id]],
    ['an owner sees the empty channel', session('ann'), OWNER, closedEmpty, []],
    [
      'a superuser is a stranger',
      session('root'),
      STRANGER_STANDING,
      closed,
      'forbidden: channel "acme" does not exist, or root may not read it',
    ],
    [
      'a group on all sees everything',
      session('gus'),
      { ...MEMBER, groups: [{ id: 'x', permission: 'read', all: true }] },
      closed,
      [OWNERS.id, DEVS.id, BOBS.id],
    ],
  ])('%s', (_, caller, standing, channel, expected) => {
    expect(outcome(admit(caller, standing, channel), channel)).toEqual(expected);
  });
});

describe('a channel that is hidden', () => {
  it('answers as one that does not exist', () => {
    for (const caller of [ANONYMOUS, session('eve'), token('eve', ['all']), token('other', ['all'])]) {
      const admission = admit(caller, STRANGER_STANDING, closed);
      const missing = hiddenChannelFault(caller, 'acme');
      expect(admission).toEqual({ kind: 'deny', code: missing.code, reason: missing.message, admitsPublic: false });
      expect(missing.code).not.toBe('not_found');
    }
  });

  it('says it in words that tell a token what to look at', () => {
    expect(hiddenChannelFault(token('eve', ['all']), 'x').message).toBe(
      'channel "x" does not exist, or this token may not read it',
    );
    expect(hiddenChannelFault(ANONYMOUS, 'x').message).toContain('/t/<token>/x');
  });
});

describe('scopes', () => {
  const lacking = (scope: string) => `forbidden: this token lacks the scope ${scope}`;
  it.each<[string, Scope[], ReaderFacts['use'], readonly string[] | string]>([
    ['conda:download reads conda', ['conda:download'], 'conda', [OWNERS.id, DEVS.id, BOBS.id]],
    ['conda:download does not read pypi', ['conda:download'], 'pypi', lacking('pypi:download')],
    ['pypi reads pypi', ['pypi'], 'pypi', [OWNERS.id, DEVS.id, BOBS.id]],
    ['repos reads both', ['repos'], 'pypi', [OWNERS.id, DEVS.id, BOBS.id]],
    ['repos does not read the API', ['repos'], 'api', lacking('api:read')],
    ['conda:upload downloads nothing', ['conda:upload'], 'conda', lacking('conda:download')],
    ['conda:upload makes the reads of an upload', ['conda:upload'], 'upload', [OWNERS.id, DEVS.id, BOBS.id]],
    ['conda:upload makes not those of a wheel', ['conda:upload'], 'upload:pypi', lacking('api:read')],
    ['api:write reads nothing else', ['api:write'], 'api', lacking('api:read')],
  ])('%s', (_, scopes, use, expected) => {
    expect(outcome(admit(token('ann', scopes), OWNER, closed, { use }), closed)).toEqual(expected);
  });

  it('that are missing deny where they keep something back, and say which', () => {
    const admission = admit(token('bob', ['api']), STRANGER_STANDING, open);
    expect(admission).toEqual({
      kind: 'deny',
      code: 'forbidden',
      reason: 'this token lacks the scope conda:download',
      admitsPublic: true,
    });
  });

  it('that are missing leave a stranger’s view where they keep nothing back', () => {
    expect(admit(token('ann', ['api']), OWNER, openPublic)).toEqual({ kind: 'view', view: strangerView(), cut: false });
    expect(admit(token('ann', ['api']), OWNER, openEmpty)).toEqual({ kind: 'view', view: strangerView(), cut: false });
  });

  it('that are missing are named to an owner even when the closed channel is still empty', () => {
    expect(outcome(admit(token('ann', ['api']), OWNER, closedEmpty), closedEmpty)).toBe(lacking('conda:download'));
    expect(admit(token('ann', ['api']), OWNER, closedEmpty)).toMatchObject({ admitsPublic: false });
  });

  it('that are missing tell nothing of a channel that the owner of the token may not see either', () => {
    expect(outcome(admit(token('eve', ['api']), STRANGER_STANDING, closed), closed)).toBe(
      'forbidden: channel "acme" does not exist, or this token may not read it',
    );
  });
});

describe('restrictions', () => {
  const reader = (restrictions: Restrictions) => token('bob', ['repos'], restrictions);

  it('to other channels are said', () => {
    expect(outcome(admit(reader({ channels: ['x'] }), STRANGER_STANDING, open), open)).toBe(
      'forbidden: this token is limited to other channels',
    );
    expect(outcome(admit(reader({ channels: ['x'] }), STRANGER_STANDING, openPublic), openPublic)).toEqual(['public']);
    expect(outcome(admit(reader({ channels: ['acme'] }), STRANGER_STANDING, closed), closed)).toEqual([BOBS.id]);
  });

  it.each<[ReaderFacts['label'], boolean]>([
    ['dev', true],
    ['main', false],
    [undefined, false],
    [['main', 'dev'], true],
    [['main'], false],
    [[], false],
  ])('to the label dev, under the label %j: admitted %s', (label, admitted) => {
    const admission = admit(reader({ labels: ['dev'] }), STRANGER_STANDING, closed, { label });
    expect(outcome(admission, closed)).toEqual(
      admitted ? [BOBS.id] : 'forbidden: this token is limited to the labels dev',
    );
  });

  it('to main admit an address without a label', () => {
    expect(admit(reader({ labels: ['main'] }), STRANGER_STANDING, closed).kind).toBe('view');
  });

  it('to labels close the API, which shows all of them, but for the reads of an upload', () => {
    const labelled = token('bob', ['all'], { labels: ['dev'] });
    expect(admit(labelled, STRANGER_STANDING, closed, { use: 'api' }).kind).toBe('deny');
    expect(admit(labelled, STRANGER_STANDING, closed, { use: 'upload' }).kind).toBe('view');
  });

  it('to packages cut silently, and only where there is something to cut', () => {
    expect(admit(reader({ packages: ['a*'] }), STRANGER_STANDING, closed)).toMatchObject({
      kind: 'view',
      cut: true,
      view: { globs: ['a*'] },
    });
    expect(admit(reader({ packages: ['a*'] }), STRANGER_STANDING, openPublic)).toMatchObject({
      kind: 'view',
      cut: false,
    });
  });

  it.each<[string | undefined, ReaderFacts['use'], readonly string[], boolean]>([
    ['linux-64', 'conda', ['public', 'authenticated', BOBS.id], false],
    ['noarch', 'conda', ['public', 'authenticated', BOBS.id], false],
    ['osx-64', 'conda', ['public'], true],
    [undefined, 'conda', ['public', 'authenticated', BOBS.id], true],
    ['osx-64', 'pypi', ['public', 'authenticated', BOBS.id], false],
  ])('to linux-64, in %s of %s, show %j', (subdir, use, ids, cut) => {
    const admission = admit(reader({ subdirs: ['linux-64'] }), STRANGER_STANDING, open, { subdir, use });
    expect(outcome(admission, open)).toEqual(ids);
    expect(admission).toMatchObject({ kind: 'view', cut });
  });

  it.each([
    ['10.1.2.3', 'view'],
    ['::ffff:10.1.2.3', 'view'],
    ['192.0.2.1', 'deny'],
    [undefined, 'deny'],
  ])('to 10.0.0.0/8, from %s: %s, on public channels too', (address, kind) => {
    for (const channel of [open, openPublic, closed]) {
      const admission = admit(reader({ cidrs: ['10.0.0.0/8'] }), STRANGER_STANDING, channel, { address });
      expect(admission.kind).toBe(kind);
      if (admission.kind === 'deny') {
        expect(admission).toMatchObject({ code: 'forbidden', admitsPublic: false });
        expect(admission.reason).toContain(address ?? 'an unknown address');
        expect(admission.reason).not.toContain('10.0.0.0/8');
      }
    }
  });

  it('to addresses are held against the question, and where that names none against what came with the caller', () => {
    const caller = reader({ cidrs: ['10.0.0.0/8'] });
    const from = (address: string, asked?: string) =>
      admit({ ...caller, address } as typeof caller, STRANGER_STANDING, open, { address: asked }).kind;
    expect([from('10.1.2.3'), from('192.0.2.1')]).toEqual(['view', 'deny']);
    expect([from('10.1.2.3', '192.0.2.1'), from('192.0.2.1', '10.1.2.3')]).toEqual(['deny', 'view']);
  });
});

describe('the token of an organization', () => {
  it('opens its own channel wholly', () => {
    expect(outcome(admit(token('acme', ['repos']), OWNER, closed), closed)).toEqual([OWNERS.id, DEVS.id, BOBS.id]);
  });

  it('is a stranger elsewhere, not even signed in, and nothing is kept back from it', () => {
    expect(outcome(admit(token('other', ['repos']), STRANGER_STANDING, open), open)).toEqual(['public']);
    expect(outcome(admit(token('other', ['api']), OWNER, open), open)).toEqual(['public']);
    for (const scopes of [['repos'], ['api']] as const) {
      // Even if the facts given were those of an owner.
      const admission = admit(token('other', scopes), OWNER, closed);
      expect(outcome(admission, closed)).toBe(
        'forbidden: channel "acme" does not exist, or this token may not read it',
      );
    }
  });
});
