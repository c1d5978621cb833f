import { jest } from '@jest/globals';
import { Inbox } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, type Credential, RunningIdentity } from './identity.fixture.js';

jest.setTimeout(60_000);

describe('the inbox', () => {
  let identity: RunningIdentity;
  let alice: Credential & { readonly id: string };
  let bob: Credential & { readonly id: string };

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    [alice, bob] = [await identity.createUser('alice'), await identity.createUser('bob')];
  });
  afterAll(() => identity.stop());

  const as = async (credential: Credential) => {
    const { assertion } = await identity.as(credential);
    return clientOf(Inbox, identity.bus, { assertion });
  };
  const asService = async (service: string) =>
    clientOf(Inbox, identity.bus, { assertion: await identity.trustOf(service).assertionFor('identity') });

  const tell = async (key: string, accountId = alice.id, service = 'authz') =>
    (await asService(service)).deliver({
      accountId,
      key,
      kind: 'group.added',
      text: `text ${key}`,
      detailJson: '{"a":1}',
    });
  const texts = async (credential: Credential) => {
    const { messages } = await (await as(credential)).list({});
    return messages.map(({ text }) => text);
  };

  it('takes each message once, and shows it to its account alone, newest first', async () => {
    for (const key of ['1', '2', '1', '3', '3']) await tell(key);
    await tell('1', bob.id, 'packages');
    expect(await texts(alice)).toEqual(['text 3', 'text 2', 'text 1']);
    expect(await texts(bob)).toEqual(['text 1']);
    const { messages, unread } = await (await as(alice)).list({ limit: 1 });
    expect(unread).toBe(3n);
    expect(messages).toMatchObject([{ kind: 'group.added', detailJson: '{"a": 1}', readAtMs: 0n }]);
  });

  it('is read in pages', async () => {
    const inbox = await as(alice);
    const first = await inbox.list({ limit: 2 });
    const rest = await inbox.list({ limit: 2, after: first.next });
    expect([...first.messages, ...rest.messages].map(({ text }) => text)).toEqual(['text 3', 'text 2', 'text 1']);
    expect(rest.next).toBe('');
  });

  it('lets its owner mark and delete messages, and nobody else', async () => {
    const [inbox, others] = [await as(alice), await as(bob)];
    const [{ id = '' } = {}] = (await inbox.list({})).messages;
    for (const refused of [others.markRead({ id }), others.delete({ id }), inbox.delete({ id: 'x' })]) {
      await expect(refused).rejects.toMatchObject({ code: 'not_found' });
    }
    await inbox.markRead({ id });
    const [read] = (await inbox.list({})).messages;
    await inbox.markRead({ id });
    expect((await inbox.list({})).messages[0]).toEqual(read);
    expect((await inbox.list({})).unread).toBe(2n);
    await inbox.delete({ id });
    expect(await texts(alice)).toEqual(['text 2', 'text 1']);
  });

  it('needs api:read to be read and api:write to be changed', async () => {
    const { token: reader } = await identity.createToken(alice, { name: 'reader', scopes: ['api:read'] });
    const { token: writer } = await identity.createToken(alice, { name: 'writer', scopes: ['api:write'] });
    const [reading, writing] = [await as({ token: reader }), await as({ token: writer })];
    const [{ id = '' } = {}] = (await reading.list({})).messages;
    await expect(writing.list({})).rejects.toMatchObject({ code: 'forbidden' });
    await expect(reading.markRead({ id })).rejects.toMatchObject({ code: 'forbidden' });
    await writing.markRead({ id });
  });

  it('keeps the newest thousand', async () => {
    await identity.database.pool.query(
      `INSERT INTO inbox (account_id, key, kind, text, created_at)
       SELECT $1, 'many ' || n, 'group.added', 'many ' || n, now() FROM generate_series(1, 1200) n`,
      [bob.id],
    );
    await tell('last', bob.id);
    const { rows } = await identity.database.pool.query(
      'SELECT count(*)::int AS count, max(id) = max(id) FILTER (WHERE text = $2) AS last FROM inbox WHERE account_id = $1',
      [bob.id, 'text last'],
    );
    expect(rows).toEqual([{ count: 1_000, last: true }]);
  });

  it('is filled by services only, and says nothing of an account that is not there', async () => {
    await expect((await as(alice)).deliver({ accountId: alice.id, key: 'x' })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    expect(await tell('nobody', 'nobody')).toMatchObject({});
  });
});
