import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { addAudit } from '@vivarium/audit/audit';
import { type AuditEvent, AuditEventSchema } from '@vivarium/contracts/gen/vivarium/common/v1/audit_pb';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import fc from 'fast-check';
import { RunningAuthz } from './authz.fixture.js';
import { merged } from './merge-trails.js';

jest.setTimeout(120_000);

describe('pages of several trails', () => {
  const trail = fc.uniqueArray(fc.integer({ min: 0, max: 999 }), { maxLength: 30 });

  it('hold every event once, newest first, whatever each service tells at once', () => {
    const shares = fc.tuple(trail, fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 30, maxLength: 30 }));
    fc.assert(
      fc.property(
        shares,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 7 }),
        ([ids, parts], limit, size) => {
          const texts = ids.map((id) => String(id).padStart(3, '0')).sort();
          const trails = [0, 1, 2].map((part) => texts.filter((_, at) => parts[at] === part).reverse());
          const pageOf = (all: readonly string[], before: string) => {
            const left = all.filter((id) => before === '' || id < before);
            const shown = left.slice(0, Math.min(size, limit));
            const events: AuditEvent[] = shown.map((id) => create(AuditEventSchema, { id }));
            return { events, more: left.length > shown.length };
          };
          const told: string[] = [];
          for (let before = ''; ; ) {
            const { events, next } = merged(
              trails.map((all) => pageOf(all, before)),
              limit,
            );
            told.push(...events.map(({ id }) => id));
            if (next === '') break;
            before = next;
          }
          expect(told).toEqual(texts.toReversed());
        },
      ),
    );
  });
});

describe('the audit trail', () => {
  let authz: RunningAuthz;
  let people: Record<'ann' | 'bob' | 'eve' | 'root', Caller>;

  beforeAll(async () => {
    authz = await RunningAuthz.start();
    const root = authz.user('root', { superuser: true });
    people = { ann: authz.user('ann'), bob: authz.user('bob'), eve: authz.user('eve'), root };
    authz.accounts.set('acme', { id: 'id-acme', login: 'acme', kind: 'organization', name: '' });
    await authz.addOrganization('id-acme', 'id-ann');
    const devs = await authz.addGroup('id-acme', { name: 'devs', permission: 'read', allPackages: true });
    await authz.addMember(devs, 'id-bob');
    authz.trails.identity.push(
      { id: '05', ownerId: 'id-acme', action: 'token.create' },
      { id: '03', ownerId: '', action: 'login.failed' },
      { id: '01', ownerId: 'id-bob', action: 'session.open' },
    );
    authz.trails.packages.push(
      { id: '04', ownerId: 'id-acme', action: 'package.create' },
      { id: '02', ownerId: 'id-ann', action: 'file.upload' },
    );
    const entry = { actor: people.ann, action: 'group.create', ownerId: 'id-acme', resource: 'group acme/devs' };
    await addAudit(authz.pool, entry, 1);
  });
  afterAll(() => authz.stop());

  async function read(by: Caller | undefined, owner = '', limit = 2): Promise<string> {
    const { auditTrail } = await authz.as(by);
    const actions: string[] = [];
    try {
      for (let after = ''; ; ) {
        const { events, next, logins } = await auditTrail.list({ owner, after, limit });
        actions.push(...events.map(({ action, ownerId }) => `${action} ${logins[ownerId] ?? '-'}`));
        if (next === '') return actions.join(', ');
        after = next;
      }
    } catch (error) {
      return (error as { code: string }).code;
    }
  }

  const ACME = 'token.create acme, package.create acme, group.create acme';

  it('is read by superusers whole, and of any account', async () => {
    expect(await read(people.root)).toBe(
      'token.create acme, package.create acme, login.failed -, file.upload ann, session.open bob, group.create acme',
    );
    expect(await read(people.root, 'acme')).toBe(ACME);
    expect(await read(people.root, 'nobody')).toBe('not_found');
  });

  it('is read by the owners of an organization as far as it concerns that', async () => {
    expect(await read(people.ann, 'acme')).toBe(ACME);
    expect(await read(people.ann, 'acme', 100)).toBe(ACME);
  });

  it('is read by everybody about themselves', async () => {
    expect(await read(people.ann)).toBe('file.upload ann');
    expect(await read(people.bob, 'bob')).toBe('session.open bob');
    expect(await read(people.eve)).toBe('');
  });

  it('is nothing for others', async () => {
    expect(await read(people.bob, 'acme')).toBe('forbidden');
    expect(await read(people.eve, 'acme')).toBe('not_found');
    expect(await read(people.eve, 'ann')).toBe('not_found');
    expect(await read(people.eve, 'nobody')).toBe('not_found');
    expect(await read(undefined)).toBe('unauthenticated');
  });

  it.each([
    [{ scopes: ['api:read'] }, ACME],
    [{ scopes: ['api:write'] }, 'forbidden'],
    [{ restrictions: { packages: ['x'] } }, 'forbidden'],
    [{ restrictions: { channels: ['id-other'] } }, 'forbidden'],
    [{ restrictions: { channels: ['id-acme'] } }, ACME],
  ])('is read by a token of an owner %j as far as it reaches', async (init, answer) => {
    expect(await read(authz.token(people.ann, init), 'acme')).toBe(answer);
  });

  it('is not read whole by a superuser with a token that is limited', async () => {
    const token = authz.token(people.root, { superuser: true, scopes: ['conda'] });
    expect(await read(token)).toBe('forbidden');
  });
});
