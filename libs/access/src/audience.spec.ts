import fc from 'fast-check';
import { audienceOf, type Grant, isAtLeast, isAudience, isVisibility, PERMISSIONS, VISIBILITIES } from './audience.js';

const grant: fc.Arbitrary<Grant> = fc.record({
  kind: fc.constantFrom('group', 'user'),
  id: fc.string({ minLength: 1, maxLength: 4 }),
  permission: fc.constantFrom(...PERMISSIONS),
});

describe('audienceOf', () => {
  const grants: Grant[] = [
    { kind: 'user', id: '7', permission: 'write' },
    { kind: 'group', id: '9', permission: 'read' },
    { kind: 'user', id: '7', permission: 'read' },
  ];

  it('of a public or authenticated package is that word, whatever its grants', () => {
    expect(audienceOf({ visibility: 'public', grants })).toEqual({
      id: 'public',
      visibility: 'public',
      principals: [],
    });
    expect(audienceOf({ visibility: 'authenticated', grants }).id).toBe('authenticated');
  });

  it('of a private package is who has a grant, once each, sorted', () => {
    const audience = audienceOf({ visibility: 'private', grants });
    expect(audience.principals).toEqual(['group:9', 'user:7']);
    expect(audience.id).toMatch(/^a-[0-9a-f]{24}$/);
  });

  it('keeps the ids that rows and index files hold', () => {
    expect(audienceOf({ visibility: 'private', grants }).id).toBe('a-88c1783311a5dea67fcb85f0');
    expect(audienceOf({ visibility: 'private', grants: [] }).id).toBe('a-4f53cda18c2baa0c0354bb5f');
  });

  it('gives equal audiences one id, and others another', () => {
    fc.assert(
      fc.property(fc.array(grant), fc.array(grant), (one, other) => {
        const [first, second] = [
          audienceOf({ visibility: 'private', grants: one }),
          audienceOf({ visibility: 'private', grants: other }),
        ];
        const same = JSON.stringify(first.principals) === JSON.stringify(second.principals);
        expect(first.id === second.id).toBe(same);
        expect(audienceOf({ visibility: 'private', grants: [...one].reverse() })).toEqual(first);
      }),
    );
  });
});

describe('isAudience', () => {
  it('is true of what audienceOf gives, also after JSON', () => {
    fc.assert(
      fc.property(fc.constantFrom(...VISIBILITIES), fc.array(grant), (visibility, grants) => {
        expect(isAudience(JSON.parse(JSON.stringify(audienceOf({ visibility, grants }))))).toBe(true);
      }),
    );
  });

  const good = audienceOf({ visibility: 'private', grants: [{ kind: 'user', id: '7', permission: 'read' }] });
  it.each([
    [null],
    ['public'],
    [{}],
    [{ id: 'public', visibility: 'public' }],
    [{ id: 'public', visibility: 'public', principals: ['user:7'] }],
    [{ id: 'authenticated', visibility: 'public', principals: [] }],
    [{ id: 'public', visibility: 'private', principals: [] }],
    [{ ...good, principals: ['user:8'] }],
    [{ ...good, principals: ['user:7', 'user:7'] }],
    [{ ...good, principals: [7] }],
    [{ ...good, principals: ['role:7'] }],
    [{ ...good, visibility: 'secret' }],
  ])('is false of %j', (value) => {
    expect(isAudience(value)).toBe(false);
  });
});

describe('permissions', () => {
  it('rise from read to write to admin', () => {
    const pairs = PERMISSIONS.map((one) => PERMISSIONS.filter((other) => isAtLeast(one, other)));
    expect(pairs).toEqual([['read'], ['read', 'write'], ['read', 'write', 'admin']]);
  });

  it('and visibilities are closed words', () => {
    expect(['public', 'Public', '', 'hidden'].filter(isVisibility)).toEqual(['public']);
  });
});
