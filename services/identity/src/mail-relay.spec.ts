import { jest } from '@jest/globals';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { deliver } from './deliver.js';
import { ADMIN, RunningIdentity } from './identity.fixture.js';
import { CLAIM_MS, MailRelay } from './mail-relay.js';
import { type Mail, type Mailer, NotSent } from './mailer.js';
import { noticeExpiry } from './notices-of-expiry.js';
import { SMTP_LIMIT_MS, SmtpMailer } from './smtp-mailer.js';
import { AUTHORITY, MailServer, openSilent } from './smtp-server.fixture.js';

jest.setTimeout(120_000);

const [MINUTE, HOUR] = [60_000, 3_600_000];
const PUBLIC = 'https://packages.example.org';
const FROM = { name: '', address: 'vivarium@example.org' };

describe('outgoing mail', () => {
  let identity: RunningIdentity;
  let alice: { login: string; id: string };
  let count = 0;
  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    alice = await identity.createUser('alice');
  });
  beforeEach(() => identity.database.pool.query('TRUNCATE mails, inbox'));
  afterAll(() => identity.stop());

  const never = new AbortController().signal;
  const messageFor = (accountId: string, text = 'A token expires.') => {
    const key = `key ${++count}`;
    return { accountId, key, kind: 'token.expires', text, detail: {} };
  };
  const tell = (message = messageFor(alice.id)) =>
    identity.database.db.$transaction((tx) => deliver(tx, message, new Date(identity.clock())));
  const waiting = async () => {
    const { rows } = await identity.database.pool.query<{ tries: number; due: Date }>(
      'SELECT tries, due_at AS due FROM mails',
    );
    return rows;
  };

  /** What a replica is, with a clock and a log of its own. */
  const relayTo = (mailer: Mailer) => {
    const [time, logged] = [{ aheadMs: 0 }, [] as string[]];
    const { db, pool } = identity.database;
    const log = { warn: (...parts: unknown[]) => void logged.push(JSON.stringify(parts)) };
    const clock = () => identity.clock() + time.aheadMs;
    const relay = new MailRelay({ db, pool, mailer, publicUrl: PUBLIC, clock, log });
    return { relay, time, logged, send: (signal = never) => relay.send(signal) };
  };
  const mailerThat = (answer: (mail: Mail) => Promise<void> | void) => {
    const mails: Mail[] = [];
    const send = async (mail: Mail) => {
      mails.push(mail);
      await answer(mail);
    };
    return { mails, send };
  };

  it('is written down with the message of the inbox, or neither is', async () => {
    const failing = identity.database.db.$transaction(async (tx) => {
      await deliver(tx, messageFor(alice.id), new Date());
      throw new Error('afterwards');
    });
    await expect(failing).rejects.toThrow('afterwards');
    expect(await waiting()).toHaveLength(0);
    const message = messageFor(alice.id);
    expect([await tell(message), await tell(message)]).toEqual([true, false]);
    expect(await waiting()).toHaveLength(1);
  });

  it('goes to whoever has an address, and to nobody else', async () => {
    const [nobody, gone] = [await identity.createUser('nobody'), await identity.createUser('gone')];
    const { db } = identity.database;
    await db.account.update({ where: { id: nobody.id }, data: { email: null } });
    expect(await tell(messageFor(nobody.id))).toBe(true);
    expect(await waiting()).toHaveLength(0);
    await tell(messageFor(gone.id));
    await db.account.update({ where: { id: gone.id }, data: { disabled: true } });
    await tell();
    // The address is that of the moment when it is sent.
    await db.account.update({ where: { id: alice.id }, data: { email: 'alice@new.example.org' } });
    const mailer = mailerThat(() => undefined);
    await relayTo(mailer).send();
    expect(mailer.mails.map(({ to }) => to)).toEqual(['alice@new.example.org']);
    expect(await waiting()).toHaveLength(0);
  });

  it('tells every owner of an organization that a token of theirs ends, and who made it if they own it', async () => {
    const [carol, dan] = [await identity.createUser('carol'), await identity.createUser('dan')];
    const { db } = identity.database;
    await db.account.create({ data: { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() } });
    identity.owners.add(`org-acme ${carol.id}`);
    const maxAgeSeconds = 30n * 86_400n;
    await identity.createToken(carol, { name: 'release', organization: 'acme', maxAgeSeconds });
    await identity.createToken(carol, { name: 'own', maxAgeSeconds });
    await noticeExpiry(db, async () => [carol.id, dan.id], identity.clock() + 17 * 24 * HOUR);
    const mailer = mailerThat(() => undefined);
    const { send, time } = relayTo(mailer);
    time.aheadMs = 17 * 24 * HOUR;
    await send();
    const subjects = mailer.mails.map(({ to, subject }) => `${to} ${subject.replace(/ on .*/, '')}`);
    expect(subjects.sort()).toEqual([
      'carol@example.org [packages.example.org] The token "release" of acme expires',
      'carol@example.org [packages.example.org] Your token "own" expires',
      'dan@example.org [packages.example.org] The token "release" of acme expires',
    ]);
  });

  it('is at most twenty of a kind in a day; the inbox has all', async () => {
    for (let n = 0; n < 25; n++) await tell({ ...messageFor(alice.id), kind: 'group.added' });
    await tell();
    expect(await waiting()).toHaveLength(21);
    const { rows } = await identity.database.pool.query('SELECT count(*)::int AS count FROM inbox');
    expect(rows).toEqual([{ count: 26 }]);
  });

  it('is sent by one of two replicas, to a real server', async () => {
    const server = new MailServer();
    try {
      const at = await server.listen();
      const replicas = [0, 1].map(() => relayTo(new SmtpMailer({ server: at, from: FROM, authority: AUTHORITY })));
      for (let n = 0; n < 12; n++) await tell(messageFor(alice.id, `Token ${n} expires.`));
      await Promise.all(replicas.map(({ send }) => send()));
      const subjects = server.taken.map(({ source }) => /^Subject: (.*)$/m.exec(source)?.[1]?.trim());
      const all = Array.from({ length: 12 }, (_, n) => `[packages.example.org] Token ${n} expires.`);
      expect(subjects.sort()).toEqual(all.sort());
      expect(await waiting()).toHaveLength(0);
      expect(replicas.flatMap(({ logged }) => logged)).toEqual([]);
    } finally {
      await server.stop();
    }
  });

  it('belongs to the replica that has it for longer than that replica tries', async () => {
    await tell();
    let release = (): void => undefined;
    const began = Promise.withResolvers<void>();
    const slow = mailerThat(() => {
      began.resolve();
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    const first = relayTo(slow).send();
    await began.promise;
    const mailer = mailerThat(() => undefined);
    const second = relayTo(mailer);
    second.time.aheadMs = SMTP_LIMIT_MS + 10_000;
    await second.send();
    expect(mailer.mails).toEqual([]);
    release();
    await first;
    expect(await waiting()).toHaveLength(0);
  });

  it('that was sent when the process died is sent again under the same name', async () => {
    await tell();
    const dying = mailerThat(() => undefined);
    const { db, pool } = identity.database;
    const dead = new Proxy(db, {
      get: (target, name) =>
        name === '$executeRaw' ? () => Promise.reject(new Error('killed')) : Reflect.get(target, name),
    });
    const log = { warn: () => undefined };
    const killed = new MailRelay({ db: dead, pool, mailer: dying, publicUrl: PUBLIC, clock: identity.clock, log });
    await expect(killed.send(never)).rejects.toThrow('killed');
    const mailer = mailerThat(() => undefined);
    const next = relayTo(mailer);
    await next.send();
    expect(mailer.mails).toEqual([]);
    next.time.aheadMs = CLAIM_MS + 1_000;
    await next.send();
    expect(mailer.mails).toEqual(dying.mails);
    expect(await waiting()).toHaveLength(0);
  });

  it('is tried for a day at growing pauses, and then given up with a line that says nothing of what was in it', async () => {
    await tell(messageFor(alice.id, 'The token "payroll" expires.'));
    const mailer = mailerThat(() => Promise.reject(new NotSent('ESOCKET ECONNREFUSED CONN', 'server')));
    const { send, time, logged } = relayTo(mailer);
    const tries: number[] = [];
    for (; (await waiting()).length > 0 && time.aheadMs < 40 * HOUR; time.aheadMs += MINUTE) {
      const before = mailer.mails.length;
      await send();
      if (mailer.mails.length > before) tries.push(time.aheadMs / MINUTE);
    }
    const pauses = tries.slice(1).map((at, index) => Math.round(at - (tries[index] ?? 0)));
    expect(pauses.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 32, 64, 120].map((minutes) => expect.closeTo(minutes, -0.5)));
    expect((tries.at(-1) ?? 0) / 60).toBeGreaterThan(24);
    expect(logged.at(-1)).toBe(
      JSON.stringify([
        { login: 'alice', tries: tries.length, reason: 'ESOCKET ECONNREFUSED CONN' },
        'a mail was given up; the message stays in the inbox',
      ]),
    );
    expect(logged.join()).not.toMatch(/payroll|example/);
    const { rows } = await identity.database.pool.query('SELECT text FROM inbox');
    expect(rows).toEqual([{ text: 'The token "payroll" expires.' }]);
  });

  it('that is refused for ever is given up at once, and holds up no other; a server that is away is asked once a turn', async () => {
    for (const text of ['First.', 'Second.', 'Third.']) await tell(messageFor(alice.id, text));
    const mailer = mailerThat(({ text }) => {
      if (text.includes('First.')) throw new NotSent('EENVELOPE RCPT TO 550', 'mail');
      if (text.includes('Second.')) throw new NotSent('EENVELOPE RCPT TO 450', 'delay');
    });
    const { send, logged } = relayTo(mailer);
    await send();
    expect(mailer.mails).toHaveLength(3);
    expect(await waiting()).toMatchObject([{ tries: 1 }]);
    expect(logged).toHaveLength(2);

    await identity.database.pool.query('TRUNCATE mails');
    for (let n = 0; n < 3; n++) await tell();
    const away = mailerThat(() => Promise.reject(new NotSent('ECONNECTION', 'server')));
    await relayTo(away).send();
    expect(away.mails).toHaveLength(1);
  });

  it('to an address that is none is given up without a word to any server', async () => {
    await identity.database.db.account.update({ where: { id: alice.id }, data: { email: 'a@b.org,eve@example.org' } });
    await tell();
    const mailer = mailerThat(() => undefined);
    const { send, logged } = relayTo(mailer);
    await send();
    expect([mailer.mails, await waiting()]).toEqual([[], []]);
    expect(logged.join()).toMatch(/"login":"alice".*address of the account/);
    expect(logged.join()).not.toContain('eve');
    await identity.database.db.account.update({ where: { id: alice.id }, data: { email: 'alice@example.org' } });
  });

  it('lets the process end while the server hangs, and is free for the next one', async () => {
    await tell();
    const silent = await openSilent('220 mail.example.org\r\n');
    try {
      const stopping = new AbortController();
      const sending = relayTo(new SmtpMailer({ server: silent.at, from: FROM })).send(stopping.signal);
      while (silent.sockets.size === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      const began = performance.now();
      stopping.abort();
      await sending;
      expect(performance.now() - began).toBeLessThan(6_000);
      const mailer = mailerThat(() => undefined);
      await relayTo(mailer).send();
      expect(mailer.mails).toHaveLength(1);
    } finally {
      await silent.stop();
    }
  });

  it('is on its way a few seconds after the message, whatever its kind', async () => {
    await tell({ ...messageFor(alice.id), kind: 'something.new' });
    const mailer = mailerThat(() => undefined);
    const { relay } = relayTo(mailer);
    relay.start();
    const until = Date.now() + 20_000;
    while (mailer.mails.length === 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 100));
    await relay.stop();
    expect(mailer.mails).toHaveLength(1);
  });
});
