import { jest } from '@jest/globals';
import type { SmtpServer } from '@vivarium/boot/config-mail';
import type { Mail } from './mailer.js';
import { SmtpMailer } from './smtp-mailer.js';
import { AUTHORITY, LOGIN, MailServer, type MailServerRules, openSilent } from './smtp-server.fixture.js';

jest.setTimeout(60_000);

const MAIL: Mail = {
  id: 'inbox.1.7',
  to: 'alice@example.org',
  subject: '[packages.example.org] Your token "Zoë" expires.',
  text: 'Hello alice,\n\n.a line that begins with a dot\n',
  date: new Date('2026-11-24T12:00:00Z'),
};
const FROM = { name: 'Vivarium', address: 'vivarium@example.org' };

describe('a mail server', () => {
  const open: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of open.splice(0)) await each.stop();
  });

  const start = async (
    rules: MailServerRules,
    tls: SmtpServer['tls'] = 'required',
    login: SmtpServer['login'] = LOGIN,
  ) => {
    const server = new MailServer(rules);
    open.push(server);
    return { server, at: await server.listen(tls, login) };
  };
  const mailerTo = (server: SmtpServer, more: { limitMs?: number; authority?: string } = { authority: AUTHORITY }) =>
    new SmtpMailer({ server, from: FROM, ...more });
  const never = new AbortController().signal;
  const failureOf = (sending: Promise<void>): Promise<unknown> => sending.then(() => 'sent').catch((error) => error);

  it.each([
    ['STARTTLS', {}, 'required'],
    ['TLS from the first byte', { secure: true }, 'always'],
  ] as const)('takes a mail by %s, from who has the password', async (_, rules, tls) => {
    const { server, at } = await start(rules, tls);
    await mailerTo(at).send(MAIL, never);
    const [taken] = server.taken;
    expect(taken).toMatchObject({ from: FROM.address, to: ['alice@example.org'], secure: true, user: LOGIN.user });
    for (const line of [
      'From: Vivarium <vivarium@example.org>',
      'To: alice@example.org',
      'Message-ID: <inbox.1.7@example.org>',
      'Date: Tue, 24 Nov 2026 12:00:00 +0000',
      'Auto-Submitted: auto-generated',
      '.a line that begins with a dot',
    ]) {
      expect(taken?.source.split('\r\n')).toContain(line);
    }
    expect(taken?.source).toMatch(/^Subject: =\?UTF-8\?/m);
    expect(taken?.source).not.toContain(LOGIN.password);
  });

  it('without STARTTLS never sees the password, nor does one whose certificate nobody vouches for', async () => {
    const bare = await start({ hides: ['STARTTLS'] });
    expect(await failureOf(mailerTo(bare.at).send(MAIL, never))).toMatchObject({ what: 'server' });
    const unknown = await start({});
    expect(await failureOf(mailerTo(unknown.at, {}).send(MAIL, never))).toMatchObject({ what: 'server' });
    expect([...bare.server.logins, ...unknown.server.logins]).toEqual([]);
  });

  it('on this machine is spoken to in the clear where the address says so', async () => {
    const { server, at } = await start({ hides: ['STARTTLS'] }, 'never');
    await mailerTo(at).send(MAIL, never);
    expect(server.taken).toMatchObject([{ secure: false, user: LOGIN.user }]);
  });

  it.each([
    ['the wrong password', {}, 'EAUTH AUTH PLAIN 535', 'server'],
    ['a refused sender', { sender: 550 }, 'EENVELOPE MAIL FROM 550', 'server'],
    ['a refused recipient', { recipient: 550 }, 'EENVELOPE RCPT TO 550', 'mail'],
    ['a recipient for whom there is no room now', { recipient: 452 }, 'EENVELOPE RCPT TO 452', 'delay'],
    ['a refused message', { message: 554 }, 'EMESSAGE DATA 554', 'mail'],
  ] as const)('that answers %s is quoted by its codes alone', async (what, rules, message, kind) => {
    const login = what === 'the wrong password' ? { ...LOGIN, password: 'another one' } : LOGIN;
    const { at, server } = await start(rules, 'required', login);
    const failure = await failureOf(mailerTo(at).send(MAIL, never));
    expect(failure).toMatchObject({ name: 'NotSent', message, what: kind });
    expect(JSON.stringify([failure, String(failure)])).not.toMatch(/alice|another one/);
    expect(server.taken).toEqual([]);
  });

  it('that is not there is said to be away', async () => {
    const { at, server } = await start({});
    await server.stop();
    open.splice(0);
    expect(await failureOf(mailerTo(at).send(MAIL, never))).toMatchObject({
      message: expect.stringMatching(/ECONN/),
      what: 'server',
    });
  });

  it.each([[''], ['220 mail.example.org\r\n'], ['220-mail.example.org\r\n']])(
    'that hangs after %j is left when the time is over, and its connection is closed',
    async (greeting) => {
      const silent = await openSilent(greeting);
      open.push(silent);
      const began = performance.now();
      expect(await failureOf(mailerTo(silent.at, { limitMs: 300 }).send(MAIL, never))).toMatchObject({
        what: 'server',
      });
      expect(performance.now() - began).toBeLessThan(3_000);
      const [socket] = silent.sockets;
      if (socket?.destroyed === false) await new Promise((resolve) => socket.once('close', resolve).resume());
    },
  );

  it('that hangs is left soon after the process begins to stop', async () => {
    const silent = await openSilent('220 mail.example.org\r\n');
    open.push(silent);
    const stopping = new AbortController();
    const sending = failureOf(mailerTo(silent.at, {}).send(MAIL, stopping.signal));
    const began = performance.now();
    stopping.abort();
    expect(await sending).toMatchObject({ message: 'the process stops' });
    expect(performance.now() - began).toBeLessThan(6_000);
  });

  it('that has the mail already may still say so while the process stops', async () => {
    const { at, server } = await start({});
    const stopping = new AbortController();
    server.beforeAnswer = async () => {
      stopping.abort();
      await new Promise((resolve) => setTimeout(resolve, 300));
    };
    await mailerTo(at).send(MAIL, stopping.signal);
    expect(server.taken).toHaveLength(1);
  });
});
