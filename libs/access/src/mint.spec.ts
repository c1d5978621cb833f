import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { ANONYMOUS, type Caller } from './caller.js';
import { judgeMint, type MintRequest } from './mint.js';
import { isNarrower, type Restrictions } from './restriction.js';
import { isNarrower as isNarrowerScopes, isScope, SCOPES, type Scope } from './scope.js';

const NOW_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;

function session(): Caller {
  return account({ kind: 'session', id: 's' });
}
function token(scopes: readonly Scope[], restrictions: Restrictions = {}): Caller {
  return account({ kind: 'token', id: 't', scopes, restrictions });
}
function account(credential: Extract<Caller, { kind: 'account' }>['credential']): Caller {
  return { kind: 'account', accountId: 'bob', login: 'bob', accountKind: 'user', superuser: false, credential };
}
function request(more: Partial<MintRequest>): MintRequest {
  return {
    parent: session(),
    parentExpiresAtMs: null,
    parentUses: 'unlimited',
    scopes: null,
    restrictions: {},
    maxAgeMs: null,
    nowMs: NOW_MS,
    ...more,
  };
}
function refusal(more: Partial<MintRequest>): [string, string] {
  try {
    judgeMint(request(more));
  } catch (error) {
    if (isFault(error)) return [error.code, error.message];
    throw error;
  }
  return ['minted', ''];
}

describe('a session', () => {
  it('mints everything for a year unless it says otherwise', () => {
    expect(judgeMint(request({}))).toEqual({ scopes: ['all'], restrictions: {}, expiresAtMs: NOW_MS + YEAR_MS });
  });

  it('mints what it asks for', () => {
    const minted = judgeMint(
      request({ scopes: ['repo', 'conda:download'], restrictions: { packages: ['A*'] }, maxAgeMs: 3_600_000 }),
    );
    expect(minted).toEqual({
      scopes: ['repos', 'conda:download'],
      restrictions: { packages: ['a*'] },
      expiresAtMs: NOW_MS + 3_600_000,
    });
  });

  it.each([0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 3654 * DAY_MS])('does not mint for %d ms', (maxAgeMs) => {
    expect(refusal({ maxAgeMs })[0]).toBe('invalid');
  });

  it('mints for ten years, leap days included', () => {
    expect(judgeMint(request({ maxAgeMs: 3653 * DAY_MS })).expiresAtMs).toBe(Date.UTC(2036, 0, 2));
  });

  it('is told about an unknown scope or a malformed restriction', () => {
    expect(refusal({ scopes: ['conda:delete'] })).toEqual(['invalid', expect.stringContaining('"conda:delete"')]);
    expect(refusal({ restrictions: { cidrs: ['office'] } })).toEqual(['invalid', expect.stringContaining('"office"')]);
  });
});

describe('an anonymous caller', () => {
  it('mints nothing', () => {
    expect(refusal({ parent: ANONYMOUS })[0]).toBe('unauthenticated');
  });
});

describe('a token', () => {
  const until = { parentExpiresAtMs: NOW_MS + 30 * DAY_MS };

  it.each<[string, Partial<MintRequest>, string, string]>([
    [
      'everything by default, unless it has everything',
      { parent: token(['api']), scopes: null },
      'forbidden',
      'all is more',
    ],
    ['another scope', { parent: token(['api']), scopes: ['conda'] }, 'forbidden', 'it has api, and conda is more'],
    ['without api:write', { parent: token(['repos']), scopes: ['repos'] }, 'forbidden', 'lacks the scope api:write'],
    ['with limited uses', { parent: token(['all']), parentUses: 'limited' }, 'forbidden', 'limited number of uses'],
    [
      'for longer',
      { parent: token(['all']), ...until, maxAgeMs: 31 * DAY_MS },
      'forbidden',
      '2026-01-31T00:00:00.000Z',
    ],
    ['once it has expired', { parent: token(['all']), parentExpiresAtMs: NOW_MS }, 'unauthenticated', 'has expired'],
    [
      'for other packages',
      { parent: token(['all'], { packages: ['a*'] }), restrictions: { packages: ['b'] } },
      'forbidden',
      'the package b is further',
    ],
    [
      'for more of them',
      { parent: token(['all'], { labels: ['dev'] }), restrictions: { labels: ['dev', 'main'] } },
      'forbidden',
      'the label main is further',
    ],
  ])('does not mint %s', (_, more, code, sentence) => {
    expect(refusal(more)).toEqual([code, expect.stringContaining(sentence)]);
  });

  it('hands its restrictions on, and its expiry', () => {
    const parent = token(['all'], { packages: ['a*'], cidrs: ['10.0.0.0/8'] });
    const minted = judgeMint(
      request({ parent, ...until, scopes: ['conda:download'], restrictions: { packages: ['ab*'] } }),
    );
    expect(minted).toEqual({
      scopes: ['conda:download'],
      restrictions: { packages: ['ab*'], cidrs: ['10.0.0.0/8'] },
      expiresAtMs: until.parentExpiresAtMs,
    });
  });

  it('never mints anything broader than itself', () => {
    const every = Object.keys(SCOPES).filter(isScope);
    const restrictions: fc.Arbitrary<Restrictions> = fc.record(
      {
        channels: fc.subarray(['c1', 'c2'], { minLength: 1 }),
        packages: fc.subarray(['a*', 'ab', '*', 'b?'], { minLength: 1 }),
        cidrs: fc.subarray(['10.0.0.0/8', '10.1.0.0/16', '2001:db8::/32'], { minLength: 1 }),
      },
      { requiredKeys: [] },
    );
    let minted = 0;
    fc.assert(
      fc.property(
        fc.subarray(every, { minLength: 1 }),
        fc.subarray(every, { minLength: 1 }),
        restrictions,
        restrictions,
        fc.integer({ min: 1, max: 400 }),
        fc.option(fc.integer({ min: 1, max: 400 })),
        (parents, scopes, parentLimits, asked, parentDays, days) => {
          const parentExpiresAtMs = NOW_MS + parentDays * DAY_MS;
          const maxAgeMs = days === null ? null : days * DAY_MS;
          const more = {
            parent: token(parents, parentLimits),
            parentExpiresAtMs,
            scopes,
            restrictions: asked,
            maxAgeMs,
          };
          if (refusal(more)[0] !== 'minted') return;
          minted++;
          const child = judgeMint(request(more));
          expect(isNarrowerScopes(child.scopes, parents)).toBe(true);
          expect(isNarrower(child.restrictions, parentLimits)).toBe(true);
          expect(child.expiresAtMs).toBeLessThanOrEqual(parentExpiresAtMs);
          expect(child.expiresAtMs).toBeGreaterThan(NOW_MS);
        },
      ),
      { numRuns: 4000 },
    );
    expect(minted).toBeGreaterThan(100);
  });
});
