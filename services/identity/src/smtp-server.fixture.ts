import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { SmtpServer } from '@vivarium/boot/config-mail';
import { SMTPServer } from 'smtp-server';
import { makeCertificate } from './certificate.fixture.js';

const TLS = makeCertificate();
export const AUTHORITY = TLS.cert;
export const LOGIN = { user: 'vivarium', password: 'the password of the mail server' } as const;

interface Taken {
  readonly from: string;
  readonly to: readonly string[];
  readonly secure: boolean;
  readonly user: string;
  readonly source: string;
}

export interface MailServerRules {
  /** From the first byte. */
  readonly secure?: boolean;
  readonly hides?: readonly string[];
  /** The code that answers a recipient; 250 unless given. */
  readonly recipient?: number;
  readonly sender?: number;
  readonly message?: number;
}

/** A real mail server on a free port of localhost. */
export class MailServer {
  readonly taken: Taken[] = [];
  readonly logins: string[] = [];
  /** Begins when it has a mail, and delays its answer. */
  beforeAnswer: () => Promise<void> = async () => undefined;
  readonly #server: SMTPServer;

  constructor(rules: MailServerRules = {}) {
    const { secure = false, hides = [], recipient = 250, sender = 250, message = 250 } = rules;
    const judge = (code: number, what: string) =>
      code === 250 ? null : Object.assign(new Error(`${what} is refused here`), { responseCode: code });
    this.#server = new SMTPServer({
      ...TLS,
      secure,
      disabledCommands: [...hides],
      authOptional: true,
      disableReverseLookup: true,
      logger: false,
      onAuth: ({ username = '', password }, _session, done) => {
        this.logins.push(username);
        const isRight = username === LOGIN.user && password === LOGIN.password;
        done(isRight ? null : new Error(`no ${username} with ${password}`), { user: username });
      },
      onMailFrom: (address, _session, done) => done(judge(sender, address.address)),
      onRcptTo: (address, _session, done) => done(judge(recipient, address.address)),
      onData: (stream, session, done) => {
        const parts: Buffer[] = [];
        stream.on('data', (part: Buffer) => parts.push(part));
        stream.on('end', async () => {
          const { mailFrom, rcptTo } = session.envelope;
          const from = mailFrom === false ? '' : mailFrom.address;
          const to = rcptTo.map(({ address }) => address);
          const source = Buffer.concat(parts).toString();
          const refusal = judge(message, 'the message');
          if (refusal === null)
            this.taken.push({ from, to, secure: session.secure, user: String(session.user ?? ''), source });
          await this.beforeAnswer();
          done(refusal);
        });
      },
    });
    // A client that hangs up is what some tests do.
    this.#server.on('error', () => undefined);
  }

  async listen(tls: SmtpServer['tls'] = 'required', login: SmtpServer['login'] = LOGIN): Promise<SmtpServer> {
    const listening = this.#server.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    return { host: 'localhost', port: (listening.address() as AddressInfo).port, tls, login };
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Takes connections and says this, and then nothing ever. */
export async function openSilent(greeting: string) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).write(greeting);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const stop = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { at: { host: '127.0.0.1', port, tls: 'never', login: undefined } as SmtpServer, stop, sockets };
}
