import { Fault } from '@vivarium/fault/fault';

/** Who mails come from. */
export interface Sender {
  /** Empty: none. */
  readonly name: string;
  readonly address: string;
}

/** The server that takes outgoing mail. */
export interface SmtpServer {
  readonly host: string;
  readonly port: number;
  /** `always`: from the first byte; `required`: STARTTLS or nothing; `offered`: STARTTLS where the server offers it. */
  readonly tls: 'always' | 'required' | 'offered' | 'never';
  readonly login: { readonly user: string; readonly password: string } | undefined;
}

export interface MailConfig {
  /** Undefined: mails are written into a folder. */
  readonly smtp: SmtpServer | undefined;
  readonly from: Sender;
}

interface MailValues {
  readonly SMTP_URL?: string | undefined;
  readonly MAIL_FROM?: string | undefined;
  readonly PUBLIC_URL?: string | undefined;
}

const FORM = 'smtp://USER:PASSWORD@HOST:PORT or smtps://USER:PASSWORD@HOST:PORT, USER:PASSWORD@ and :PORT as needed';
const LOCAL = new Set(['localhost', '127.0.0.1', '::1']);
const NAME = /^[a-z0-9][a-z0-9.-]{0,252}$/;
const ADDRESS = /^[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)*$/i;
const SENDER_NAME = /^[^<>"\p{C}]{1,100}$/u;

/** Reads where mails go. Throws Fault('invalid') with a sentence that has nothing of SMTP_URL in it: it holds a password. */
export function mailOf({ SMTP_URL, MAIL_FROM, PUBLIC_URL }: MailValues, sends: boolean): MailConfig {
  const smtp = SMTP_URL === undefined ? undefined : smtpServerIn(SMTP_URL);
  const from = senderIn(MAIL_FROM ?? 'Vivarium <vivarium@localhost>');
  if (smtp !== undefined && sends) {
    const missing = Object.entries({ MAIL_FROM, PUBLIC_URL }).flatMap(([name, value]) => (value ? [] : [name]));
    // What is read on other machines names neither a sender nor an address of this one.
    if (missing.length > 0) throw unusable(`SMTP_URL is set; set ${missing.join(' and ')} too.`);
  }
  return { smtp, from };
}

function smtpServerIn(text: string): SmtpServer {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'smtp:' && url.protocol !== 'smtps:')) {
    throw unusable(`SMTP_URL: must be ${FORM}. Its value is not shown, since it may hold a password.`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (!NAME.test(host) && !/^[0-9a-f:.]+:[0-9a-f:.]*$/.test(host)) {
    throw unusable(`SMTP_URL: the host is missing or no name; it must be ${FORM}.`);
  }
  const login = loginIn(url);
  const rest = url.pathname.replace(/^\/$/, '') + url.search + url.hash;
  if (rest !== '' && rest !== '?tls=never') {
    throw unusable('SMTP_URL: nothing may follow the port but "?tls=never", for a server on this machine.');
  }
  const isPlain = rest !== '';
  if (isPlain && (url.protocol === 'smtps:' || !LOCAL.has(host))) {
    throw unusable('SMTP_URL: "?tls=never" is for smtp:// to localhost, 127.0.0.1 or [::1] alone.');
  }
  const isSecure = url.protocol === 'smtps:';
  const tls = isSecure ? 'always' : isPlain ? 'never' : login === undefined ? 'offered' : 'required';
  return { host, port: portIn(url) ?? (isSecure ? 465 : login === undefined ? 25 : 587), tls, login };
}

function portIn({ port }: URL): number | undefined {
  if (port === '') return undefined;
  if (Number(port) > 0) return Number(port);
  throw unusable('SMTP_URL: the port must be from 1 to 65535.');
}

function loginIn({ username, password }: URL): SmtpServer['login'] {
  if (username === '' && password === '') return undefined;
  const [user, word] = [decoded(username), decoded(password)];
  if (user !== undefined && word !== undefined) return { user, password: word };
  throw unusable(
    'SMTP_URL: user and password go together, each percent-encoded (":" is %3A, "@" is %40, "/" is %2F) and without controls.',
  );
}

function decoded(text: string): string | undefined {
  try {
    const plain = decodeURIComponent(text);
    return plain === '' || /\p{Cc}/u.test(plain) ? undefined : plain;
  } catch {
    return undefined;
  }
}

function senderIn(text: string): Sender {
  const [, name, bracketed] = /^([^<]*)<([^<>]*)>$/.exec(text) ?? [];
  const sender = { name: (name ?? '').trim(), address: bracketed ?? text };
  const isNamed = sender.name === '' || SENDER_NAME.test(sender.name);
  if (isNamed && ADDRESS.test(sender.address) && sender.address.length <= 254) return sender;
  throw unusable(
    `MAIL_FROM: ${JSON.stringify(text.slice(0, 80))} is no sender; it must be vivarium@example.org or Vivarium <vivarium@example.org>.`,
  );
}

function unusable(sentence: string): Fault {
  return new Fault('invalid', `The configuration is not usable.\n${sentence}`);
}
