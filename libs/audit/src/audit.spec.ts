/**
 * @jest-environment-options {"customExportConditions": ["source", "node"]}
 */
import { readFile } from 'node:fs/promises';
import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { ListAuditRequestSchema } from '@vivarium/contracts/gen/vivarium/common/v1/audit_pb';
import { CallerSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { inTransaction, openPool } from '@vivarium/db/open';
import { startTemporaryPostgres, type TemporaryPostgres } from '@vivarium/db/temporary';
import type { Pool } from 'pg';
import { type AuditEntry, addAudit, listAudit } from './audit.js';

jest.setTimeout(60_000);

const MIGRATIONS = ['20261202000000_audit', '20261205000000_audit_of_two'];
const sqlOf = (migration: string) =>
  readFile(new URL(`../sql/${migration.replace(/^\d+_/, '')}.sql`, import.meta.url), 'utf8');

const ANN = create(CallerSchema, {
  accountId: 'ann-id',
  login: 'ann',
  accountKind: 'user',
  credentialKind: 'token',
  tokenName: 'ci',
  address: '192.0.2.7',
});

describe('the audit table', () => {
  let server: TemporaryPostgres;
  let pool: Pool;

  beforeAll(async () => {
    server = await startTemporaryPostgres();
    pool = openPool({ url: server.url, schema: 'public', applicationName: 'audit', log: () => undefined });
    for (const each of MIGRATIONS) await pool.query(await sqlOf(each));
  });

  afterAll(async () => {
    await pool.end();
    await server.stop();
  });

  afterEach(() => pool.query('DELETE FROM audit'));

  const write = (entry: Partial<AuditEntry>, nowMs = 1_000) =>
    inTransaction(pool, (tx) =>
      addAudit(tx, { actor: ANN, action: 'token.create', ownerId: 'ann-id', resource: 'token ci', ...entry }, nowMs),
    );
  const list = (asked: { ownerId?: string; everything?: boolean; beforeId?: string; limit?: number }) =>
    listAudit(pool, create(ListAuditRequestSchema, asked));

  it('says who did what, by which credential and from where', async () => {
    await write({ before: { scopes: ['all'] }, after: { scopes: ['conda'] } }, 1_700_000_000_123);
    const { events } = await list({ everything: true });
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      actor: 'ann',
      actorId: 'ann-id',
      credential: 'token ci',
      address: '192.0.2.7',
      action: 'token.create',
      atMs: 1_700_000_000_123n,
      beforeJson: '{"scopes":["all"]}',
      afterJson: '{"scopes":["conda"]}',
    });
  });

  it('names a service, and a login that nobody proved to be', async () => {
    await write({ actor: { service: 'packages' } }, 1);
    await write({ actor: { login: 'mallory', address: '192.0.2.9' } }, 2);
    const { events } = await list({ everything: true });
    expect(events.map(({ actor, actorId }) => [actor, actorId])).toEqual([
      ['mallory', ''],
      ['service:packages', ''],
    ]);
  });

  it('is not written when the change is not', async () => {
    const failing = inTransaction(pool, async (tx) => {
      await addAudit(tx, { actor: ANN, action: 'a.b', ownerId: '', resource: 'r' }, 1);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect((await list({ everything: true })).events).toEqual([]);
  });

  it("gives an owner's events only, newest first, by pages without gap or repetition", async () => {
    for (let at = 0; at < 25; at++) await write({ resource: `r${at}`, ownerId: at % 5 === 4 ? 'other' : 'acme' }, at);
    const seen: string[] = [];
    let beforeId = '';
    for (;;) {
      const { events, more } = await list({ ownerId: 'acme', beforeId, limit: 7 });
      seen.push(...events.map(({ resource }) => resource));
      beforeId = events.at(-1)?.id ?? '';
      if (!more) break;
    }
    const expected = Array.from({ length: 25 }, (_, at) => at).filter((at) => at % 5 !== 4);
    expect(seen).toEqual(expected.reverse().map((at) => `r${at}`));
  });

  it('gives what goes from one account to another to the owners of both, once to everybody else', async () => {
    await write({ resource: 'before', ownerId: 'zeta' }, 1);
    await write({ resource: 'moved', ownerId: 'acme', otherOwnerId: 'zeta' }, 2);
    await write({ resource: 'after', ownerId: 'zeta' }, 3);
    const named = async (asked: Parameters<typeof list>[0]) =>
      (await list(asked)).events.map(({ resource }) => resource);
    expect(await named({ ownerId: 'acme' })).toEqual(['moved']);
    expect(await named({ ownerId: 'zeta' })).toEqual(['after', 'moved', 'before']);
    const [last] = (await list({ ownerId: 'zeta', limit: 1 })).events;
    expect(await named({ ownerId: 'zeta', beforeId: last?.id ?? '', limit: 1 })).toEqual(['moved']);
    expect(await named({ everything: true })).toEqual(['after', 'moved', 'before']);
    // What is about one account alone is not everybody's.
    expect(await named({ ownerId: '' })).toEqual([]);
  });

  it('keeps a bounded part of what is long', async () => {
    await write({ resource: 'x'.repeat(10_000), after: { names: 'y'.repeat(100_000) } });
    const { events } = await list({ everything: true });
    expect(events[0]?.resource).toHaveLength(500);
    expect(events[0]?.afterJson).toMatch(/omitted/);
  });

  it.each(['identity', 'authz', 'packages'])('has the same table in %s', async (service) => {
    for (const each of MIGRATIONS) {
      const path = `../../../services/${service}/prisma/migrations/${each}/migration.sql`;
      expect(await readFile(new URL(path, import.meta.url), 'utf8')).toBe(await sqlOf(each));
    }
  });

  it('gives no more than fits into a message, and all of it page by page', async () => {
    const after = { text: 'x'.repeat(16_000) };
    for (let at = 1; at <= 40; at++) await write({ resource: `number ${at}`, after }, at);
    const resources: string[] = [];
    for (let beforeId = ''; ; ) {
      const { events, more } = await list({ everything: true, beforeId });
      expect(events.reduce((sum, { afterJson }) => sum + afterJson.length, 0)).toBeLessThan(300 * 1024);
      resources.push(...events.map(({ resource }) => resource));
      if (!more) break;
      beforeId = events.at(-1)?.id ?? '';
    }
    expect(resources).toEqual(Array.from({ length: 40 }, (_, at) => `number ${40 - at}`));
  });
});
