import { composeMail } from './compose-mail.js';
import { type Told, writeMail } from './write-mail.js';

const told = (more: Partial<Told> = {}): Told => ({
  id: '7',
  text: 'Your token "ci" expires on 2026-12-08. Make a new one in time, where it is used.',
  createdAt: new Date('2026-11-24T12:00:00Z'),
  login: 'alice',
  email: 'alice@example.org',
  ...more,
});
const PUBLIC = 'https://packages.example.org';
const FROM = { name: '', address: 'vivarium@example.org' };

describe('the mail of a message', () => {
  it('says what the inbox says, and where a token is made', () => {
    const mail = writeMail(told(), PUBLIC);
    expect(mail).toMatchObject({
      id: 'inbox.1795521600000.7',
      to: 'alice@example.org',
      subject: '[packages.example.org] Your token "ci" expires on 2026-12-08.',
    });
    expect(mail?.text).toMatch(/^Hello alice,\n\nYour token "ci" expires on 2026-12-08. Make a new one in time, where/);
    expect(mail?.text).toContain('https://packages.example.org/#token');
  });

  it.each([
    ['alice@example.org\r\nBcc: eve@example.org'],
    ['alice@example.org, eve@example.org'],
    ['alice@example.org;eve@example.org'],
    ['eve <alice@example.org>'],
    ['"alice@x"@example.org'],
    ['alice'],
    ['@example.org'],
  ])('is not written to %j', (email) => {
    expect(writeMail(told({ email }), PUBLIC)).toBeUndefined();
  });

  it.each([
    ['\r\nBcc: eve@example.org\r\n\r\n'],
    ['\n\n.\nQUIT\n'],
    ['\u2028Bcc: eve@example.org'],
    ['\u0000\u001b[2J'],
  ])('has no header and no line of those who chose the names in it: %j', async (hostile) => {
    const mail = writeMail(told({ text: `Your token "${hostile}" expires. ${hostile}` }), PUBLIC);
    if (mail === undefined) throw new Error('no mail');
    expect(mail.subject).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    const source = (await composeMail(FROM, mail)).toString();
    const [head = '', body = ''] = source.split('\r\n\r\n');
    const names = head.split('\r\n').flatMap((line) => (/^\s/.test(line) ? [] : [line.split(':')[0]]));
    const own = ['From', 'To', 'Subject', 'Message-ID', 'Date', 'Auto-Submitted', 'MIME-Version'];
    expect(names.sort()).toEqual([...own, 'Content-Transfer-Encoding', 'Content-Type'].sort());
    expect(body).not.toMatch(/^(Bcc|\.|QUIT)/m);
  });

  it('composes a hostile subject, address and id into one line each all the same', async () => {
    const hostile = 'x\r\nBcc: eve@example.org';
    const source = await composeMail(FROM, {
      id: hostile,
      to: hostile,
      subject: hostile,
      text: 'x',
      date: new Date(0),
    });
    expect(source.toString()).not.toMatch(/^Bcc/im);
  });

  it('cuts a long subject, and shows nothing that looks like a token', () => {
    const token = `viv-${'a1b2'.repeat(12)}-c3d4e5`;
    const mail = writeMail(
      told({ text: `It was found at https://x.example/t/${token}/ and ${token} ${'z'.repeat(300)}` }),
      PUBLIC,
    );
    expect([...(mail?.subject ?? '')].length).toBeLessThanOrEqual(120 + '[packages.example.org] '.length);
    expect(`${mail?.subject} ${mail?.text}`).not.toContain('a1b2a1b2');
  });
});
