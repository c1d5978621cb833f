import { mailOf } from './config-mail.js';

const more = { MAIL_FROM: 'Vivarium <vivarium@example.org>', PUBLIC_URL: 'https://packages.example.org' };
const smtpOf = (url: string) => mailOf({ SMTP_URL: url, ...more }, true).smtp;
const SECRET = 'hunter2hunter2';

describe('where mails go', () => {
  it('is a folder unless a server is named', () => {
    expect(mailOf({}, true)).toEqual({ smtp: undefined, from: { name: 'Vivarium', address: 'vivarium@localhost' } });
  });

  it.each([
    ['smtp://mail.example.org', { host: 'mail.example.org', port: 25, tls: 'offered', login: undefined }],
    ['smtps://mail.example.org', { port: 465, tls: 'always' }],
    ['smtp://mail.example.org:2525/', { port: 2525, tls: 'offered' }],
    ['smtp://[2001:db8::1]', { host: '2001:db8::1' }],
    [`smtp://me:${SECRET}@mail.example.org`, { port: 587, tls: 'required', login: { user: 'me', password: SECRET } }],
    ['smtps://me%40example.org:a%2Fb%3A%40@mail.example.org', { login: { user: 'me@example.org', password: 'a/b:@' } }],
    [`smtp://me:${SECRET}@localhost?tls=never`, { tls: 'never', login: { user: 'me', password: SECRET } }],
    [`smtp://me:${SECRET}@[::1]:1025?tls=never`, { host: '::1', port: 1025, tls: 'never' }],
    [`smtp://me:${SECRET}@localhost`, { tls: 'required' }],
  ])('reads %s', (url, server) => {
    expect(smtpOf(url)).toMatchObject(server);
  });

  it.each([
    [`http://me:${SECRET}@mail.example.org`, 'must be smtp://'],
    [`me:${SECRET}@mail.example.org`, 'must be smtp://'],
    [`smtp://me:${SECRET}@`, 'must be smtp://'],
    [`smtp://me:${SECRET}@mail.example.org:99999`, 'must be smtp://'],
    [`smtp://me:${SECRET}@mail.example.org:0`, 'from 1 to 65535'],
    [`smtp://me:${SECRET}@mail_example`, 'the host is missing or no name'],
    [`smtp://:${SECRET}@mail.example.org`, 'user and password go together'],
    ['smtp://me@mail.example.org', 'user and password go together'],
    [`smtp://me:${SECRET}%@mail.example.org`, 'user and password go together'],
    [`smtp://me:${SECRET}%0d%0a@mail.example.org`, 'without controls'],
    [`smtp://me:${SECRET}@mail.example.org?tls=never`, 'localhost, 127.0.0.1 or [::1] alone'],
    [`smtps://me:${SECRET}@localhost?tls=never`, 'localhost, 127.0.0.1 or [::1] alone'],
    [`smtp://me:${SECRET}@mail.example.org?tls=maybe`, 'nothing may follow the port'],
    [`smtp://me:${SECRET}@mail.example.org/path`, 'nothing may follow the port'],
    [`smtp://me:${SECRET}@mail.example.org#x`, 'nothing may follow the port'],
  ])('refuses %s with a sentence that does not show it', (url, sentence) => {
    const refused = () => smtpOf(url);
    expect(refused).toThrow(sentence);
    expect(refused).not.toThrow(/hunter2/);
  });

  it.each([
    ['vivarium@example.org', { name: '', address: 'vivarium@example.org' }],
    ['Vivarium at Example <vivarium@example.org>', { name: 'Vivarium at Example', address: 'vivarium@example.org' }],
  ])('comes from %s', (text, from) => {
    expect(mailOf({ MAIL_FROM: text }, true).from).toEqual(from);
  });

  it.each([
    'vivarium',
    'a@b, c@d',
    'Vivarium <a@b> <c@d>',
    'a@b\r\nBcc: c@d',
    'V\r\nBcc: c@d <a@b>',
    '"V" <a@b>',
    '<a@b',
    'a b@c',
    'a@b_c',
  ])('refuses the sender %j', (text) => {
    expect(() => mailOf({ MAIL_FROM: text }, true)).toThrow(
      /^The configuration is not usable.\nMAIL_FROM: .* is no sender; it must/,
    );
  });

  it('needs a sender and a public address with a server, of whoever sends', () => {
    const SMTP_URL = 'smtp://mail.example.org';
    expect(() => mailOf({ SMTP_URL }, true)).toThrow('SMTP_URL is set; set MAIL_FROM and PUBLIC_URL too.');
    expect(mailOf({ SMTP_URL }, false).smtp?.host).toBe('mail.example.org');
  });
});
