import type { AccountCaller } from './caller.js';
import { rightOn, rightOnAll, STRANGER_STANDING, type Standing } from './standing.js';

const bob: AccountCaller = {
  kind: 'account',
  accountId: 'u-bob',
  login: 'bob',
  accountKind: 'user',
  superuser: false,
  credential: { kind: 'session', id: 's' },
};
const devs = { id: 'g-devs', name: 'devs', permission: 'write', all: false } as const;
const auditors = { id: 'g-aud', permission: 'read', all: true } as const;
const standing = (more: Partial<Standing>): Standing => ({ ...STRANGER_STANDING, ...more });

describe('rights', () => {
  it('of a stranger are none', () => {
    expect(rightOnAll(STRANGER_STANDING)).toBeNull();
    expect(rightOn([{ kind: 'group', id: 'g-devs', permission: 'admin' }], STRANGER_STANDING, bob)).toBeNull();
    expect(rightOn([{ kind: 'user', id: 'u-eve', permission: 'write' }], STRANGER_STANDING, bob)).toBeNull();
  });

  it('through a group are those of the group today, not those that the grant remembers', () => {
    const right = rightOn([{ kind: 'group', id: 'g-devs', permission: 'admin' }], standing({ groups: [devs] }), bob);
    expect(right).toEqual({ permission: 'write', through: 'through group devs' });
  });

  it('of a collaborator end at write', () => {
    const right = rightOn([{ kind: 'user', id: 'u-bob', permission: 'admin' }], STRANGER_STANDING, bob);
    expect(right?.permission).toBe('write');
  });

  it('are the strongest of several', () => {
    const grants = [
      { kind: 'user', id: 'u-bob', permission: 'read' },
      { kind: 'group', id: 'g-devs', permission: 'write' },
    ] as const;
    expect(rightOn(grants, standing({ groups: [auditors, devs] }), bob)?.through).toBe('through group devs');
    expect(rightOn(grants, standing({ owner: true, groups: [devs] }), bob)?.permission).toBe('own');
  });

  it('on all packages come from owning and from groups on all, named by id where they have no name', () => {
    expect(rightOnAll(standing({ groups: [devs] }))).toBeNull();
    expect(rightOnAll(standing({ groups: [devs, auditors] }))?.through).toContain('group g-aud, which covers all');
    expect(rightOnAll(standing({ owner: true }))).toEqual({ permission: 'own', through: 'as an owner' });
  });
});
