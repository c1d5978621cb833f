import { randomBytes } from 'node:crypto';
import { jest } from '@jest/globals';
import { Inbox } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { mintToken } from '@vivarium/token/format';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity, sha256Of } from './identity.fixture.js';
import { revokeInText } from './revoke-in-text.js';

jest.setTimeout(120_000);

interface User {
  readonly login: string;
  readonly password: string;
  readonly id: string;
}

describe('a token that somebody has found', () => {
  let identity: RunningIdentity;
  let [alice, bob, mia]: User[] = [];
  let number = 0;

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    [alice, bob, mia] = [
      await identity.createUser('alice'),
      await identity.createUser('bob'),
      await identity.createUser('mia'),
    ];
    const acme = { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() };
    await identity.database.db.account.create({ data: acme });
    identity.owners.add(`org-acme ${of(alice).id}`).add(`org-acme ${of(bob).id}`);
    identity.members.add(`org-acme ${of(mia).id}`);
  });
  afterEach(() => {
    identity.isAuthzAway = false;
  });
  afterAll(() => identity.stop());

  const of = (user: User | undefined): User => {
    if (user === undefined) throw new Error('no such user');
    return user;
  };
  const make = async (by: User | { readonly token: string } | undefined, request: object = {}) => {
    const name = `t${++number}`;
    if (by === undefined) throw new Error('nobody makes a token');
    return { name, ...(await identity.createToken(by, { name, ...request })) };
  };
  const report = async (tokens: readonly string[], more: object = {}, service = 'gateway') => {
    const options = { assertion: await identity.trustOf(service).assertionFor('identity'), timeoutMs: 10_000 };
    const leaked = tokens.map((token) => ({ tokenSha256: sha256Of(token), ...more }));
    return clientOf(Tokens, identity.bus, options).revokeLeaked({ leaked, address: '192.0.2.7' });
  };
  const isLiving = (token: string) =>
    identity.whoIs({ token }).then(
      () => true,
      () => false,
    );
  const events = async () => {
    const text = `SELECT actor, actor_id, credential, address, owner_id, resource, before, after FROM audit
      WHERE action = 'token.leaked' ORDER BY id`;
    return (await identity.database.pool.query(text)).rows;
  };
  const inboxOf = async (user: User | undefined) => {
    const { assertion } = await identity.as(of(user));
    const { messages } = await clientOf(Inbox, identity.bus, { assertion }).list({});
    return messages.filter(({ kind }) => kind === 'token.leaked');
  };
  const FOUND_AT = 'https://code.example/acme/build/blob/main/ci.yml#L7';

  it('ends with all that it made, in one event that says where it was found and by nobody', async () => {
    const { token, name } = await make(alice);
    const child = await make({ token });
    const from = identity.heard.length;
    await report([token], { url: FOUND_AT, source: 'content' });
    expect([await isLiving(token), await isLiving(child.token)]).toEqual([false, false]);
    expect(identity.newsSince(from)).toHaveLength(1);
    expect((await events()).at(-1)).toEqual({
      actor: '',
      actor_id: '',
      credential: '',
      address: '192.0.2.7',
      owner_id: of(alice).id,
      resource: `token ${name} of alice`,
      before: { tokens: [name], revoked: 2 },
      after: { url: FOUND_AT, source: 'content' },
    });
    const [message] = await inboxOf(alice);
    expect(message?.text).toBe(
      `Your token "${name}" was reported as leaked and is revoked, and with it 1 that it made. Who reported it says that it was found here: ${FOUND_AT} (content) . Until now whoever saw it could use it. Look in the audit trail for what was done by it, make a new one where it is used, and keep that one out of what others can read.`,
    );
    expect(JSON.parse(message?.detailJson ?? '')).toMatchObject({ name, owner: 'alice', url: FOUND_AT, revoked: 2 });
    expect(await inboxOf(bob)).toEqual([]);
  });

  it('is told of once, however often and by however many it is reported', async () => {
    const { token } = await make(mia);
    const before = (await events()).length;
    await Promise.all(Array.from({ length: 5 }, () => report([token, token])));
    await report([token], { url: FOUND_AT });
    expect((await events()).length - before).toBe(1);
    const [message, ...more] = await inboxOf(mia);
    expect([message?.text, more]).toEqual([expect.stringContaining('Where it was found was not said.'), []]);
  });

  it('of an organization is told to its owners, and to no member', async () => {
    const { token, name } = await make(alice, { organization: 'acme' });
    const told = [(await inboxOf(alice)).length, (await inboxOf(mia)).length];
    await report([token], { source: 'a log' });
    expect(await isLiving(token)).toBe(false);
    expect((await events()).at(-1)).toMatchObject({ owner_id: 'org-acme', resource: `token ${name} of acme` });
    const [[forAlice], [forBob]] = [await inboxOf(alice), await inboxOf(bob)];
    expect([forAlice?.text, forBob?.text]).toEqual([
      expect.stringContaining(`The token "${name}" of acme was reported`),
      expect.stringContaining('found here: (a log) .'),
    ]);
    expect([(await inboxOf(alice)).length, (await inboxOf(mia)).length]).toEqual([(told[0] ?? 0) + 1, told[1]]);
  });

  it('of an organization ends also while nobody can say who owns it; then its maker is told', async () => {
    const { token, name } = await make(alice, { organization: 'acme' });
    const told = (await inboxOf(bob)).length;
    identity.isAuthzAway = true;
    await report([token]);
    identity.isAuthzAway = false;
    expect(await isLiving(token)).toBe(false);
    expect((await inboxOf(alice))[0]?.text).toContain(`"${name}"`);
    expect(await inboxOf(bob)).toHaveLength(told);
  });

  it('has an event of its own though the one that made it is found too', async () => {
    const parent = await make(bob);
    const child = await make({ token: parent.token });
    const before = (await events()).length;
    await report([parent.token, child.token]);
    expect((await events()).slice(before).map(({ resource }) => resource)).toEqual([
      `token ${child.name} of bob`,
      `token ${parent.name} of bob`,
    ]);
  });

  it('is answered the same if there is none, if it was revoked, and if it has expired; nothing is written', async () => {
    const revoked = await make(alice);
    await (await identity.as(of(alice))).tokens.revoke({ which: { case: 'name', value: revoked.name } });
    const expired = await make(alice);
    const { pool } = identity.database;
    await pool.query("UPDATE tokens SET expires_at = now() - interval '1 day' WHERE name = $1", [expired.name]);
    const living = await make(alice);
    const { secret: session } = await (await identity.as(of(alice))).sessions.open({});
    const before = [(await events()).length, (await inboxOf(alice)).length];
    const unknown = mintToken((sizeBytes) => new Uint8Array(sizeBytes).fill(9));
    const answers = [await report([unknown]), await report([revoked.token]), await report([expired.token, session])];
    expect([(await events()).length, (await inboxOf(alice)).length]).toEqual(before);
    answers.push(await report([living.token]));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect((await identity.whoIs({ session })).caller?.login).toBe('alice');
  });

  it('that cannot be revoked now shelters no other, and is when it is reported again', async () => {
    const [first, second] = [await make(bob), await make(bob)];
    const { pool } = identity.database;
    // The younger is looked at first.
    await pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON tokens FOR EACH ROW WHEN (OLD.name = '${second.name}') EXECUTE FUNCTION refuse();`);
    await expect(report([first.token, second.token])).rejects.toMatchObject({
      code: 'unavailable',
      message: 'Not all that was reported could be looked at. Report it again in a few seconds.',
    });
    expect([await isLiving(first.token), await isLiving(second.token)]).toEqual([false, true]);
    await pool.query('DROP TRIGGER refuse ON tokens');
    await report([first.token, second.token]);
    expect(await isLiving(second.token)).toBe(false);
  });

  it('is not said to be revoked while a gateway may remember it, nor is one that there is not', async () => {
    const { token } = await make(bob);
    const unknown = mintToken((sizeBytes) => new Uint8Array(sizeBytes).fill(11));
    const { pool } = identity.database;
    await pool.query(
      "INSERT INTO leases (holder, until, acked_epoch, acked) VALUES ('silent', now() + interval '1 hour', '', 0)",
    );
    const faults = await Promise.all([token, unknown].map((each) => report([each]).catch((error) => error.message)));
    await pool.query("DELETE FROM leases WHERE holder = 'silent'");
    expect(new Set(faults)).toEqual(
      new Set(['What was reported is revoked, but a gateway may not have heard of it for some seconds.']),
    );
    await report([token]);
  });

  it('is reported by the gateway alone, and a hundred at most at once', async () => {
    const { token } = await make(bob);
    for (const service of ['packages', 'authz', 'platform']) {
      await expect(report([token], {}, service)).rejects.toMatchObject({ code: 'forbidden' });
    }
    const { assertion } = await identity.as(of(bob));
    const asCaller = clientOf(Tokens, identity.bus, { assertion });
    await expect(asCaller.revokeLeaked({ leaked: [{ tokenSha256: sha256Of(token) }] })).rejects.toBeDefined();
    const many = Array.from({ length: 101 }, () => token);
    await expect(report(many)).rejects.toMatchObject({ code: 'invalid' });
    expect(await isLiving(token)).toBe(true);
  });

  it('is one of many in a text that an operator gives, and ends on the word of the platform', async () => {
    const [mine, works] = [await make(mia), await make(alice, { organization: 'acme' })];
    const unknown = Array.from({ length: 150 }, () => mintToken(randomBytes));
    const { clock, database } = identity;
    const log = { warn: () => undefined };
    const whose = async () => [of(bob).id];
    const rules = { clock, log, invalidations: outboxOnly, ownersOf: whose };
    const text = [...unknown, `/t/${mine.token}/mia`, works.token, mine.token].join('\n');
    expect(await revokeInText(rules, database.db, text)).toEqual({ found: 152, revoked: 2 });
    expect([await isLiving(mine.token), await isLiving(works.token)]).toEqual([false, false]);
    expect((await events()).slice(-2).map(({ actor }) => actor)).toEqual(['service:platform', 'service:platform']);
    expect((await inboxOf(bob))[0]?.text).toContain(`"${works.name}" of acme`);
    expect(await revokeInText(rules, database.db, text)).toEqual({ found: 152, revoked: 0 });
    await expect(revokeInText(rules, database.db, mine.token.slice(1))).rejects.toMatchObject({ code: 'invalid' });
  });

  it('stands in no row, message or line', async () => {
    const { token } = await make(alice);
    await report([token], { url: FOUND_AT });
    const { rows } = await identity.database.pool.query(
      'SELECT text, detail::text FROM inbox UNION ALL SELECT resource, coalesce(before::text, after::text) FROM audit',
    );
    const said = JSON.stringify([rows, await events(), identity.logged]);
    expect(said).not.toContain(token);
    expect(said).not.toMatch(/viv-[a-z0-9]{32}/);
  });
});
