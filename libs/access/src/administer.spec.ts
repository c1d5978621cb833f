import { administers } from './administer.js';
import { ANONYMOUS, type Caller } from './caller.js';
import type { Restrictions } from './restriction.js';
import { SCOPES, type Scope } from './scope.js';

function callerOf(superuser: boolean, token?: { scopes: Scope[]; restrictions?: Restrictions }): Caller {
  const account = { kind: 'account', accountId: 'a', login: 'root', accountKind: 'user', superuser } as const;
  if (token === undefined) return { ...account, credential: { kind: 'session', id: 's' } };
  return { ...account, credential: { kind: 'token', id: 't', restrictions: {}, ...token } };
}

describe('managing accounts', () => {
  it('is for superusers, signed in or with a token that has the scope', () => {
    expect(administers(callerOf(true), 'all')).toBe(true);
    expect(administers(callerOf(true, { scopes: ['all'] }), 'all')).toBe(true);
    expect(administers(callerOf(true, { scopes: ['api'] }), 'api:read')).toBe(true);
  });

  it('is for nobody else', () => {
    expect(administers(ANONYMOUS, 'api:read')).toBe(false);
    expect(administers(callerOf(false), 'api:read')).toBe(false);
    expect(administers(callerOf(false, { scopes: ['all'] }), 'api:read')).toBe(false);
  });

  it('takes more than the whole API where it would open everything', () => {
    expect(administers(callerOf(true, { scopes: ['api'] }), 'all')).toBe(false);
    const every = Object.keys(SCOPES).filter((scope) => scope !== 'all') as Scope[];
    expect(administers(callerOf(true, { scopes: every }), 'all')).toBe(false);
  });

  it.each<[string, Restrictions]>([
    ['channels', { channels: ['c'] }],
    ['packages', { packages: ['*'] }],
    ['labels', { labels: ['main'] }],
    ['subdirs', { subdirs: ['linux-64'] }],
    ['addresses', { cidrs: ['0.0.0.0/0'] }],
  ])('is not for a token that is restricted to %s', (_, restrictions) => {
    expect(administers(callerOf(true, { scopes: ['all'], restrictions }), 'api:read')).toBe(false);
  });
});
