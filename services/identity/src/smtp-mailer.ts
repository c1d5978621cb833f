import { setTimeout as sleep } from 'node:timers/promises';
import type { Sender, SmtpServer } from '@vivarium/boot/config-mail';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { composeMail } from './compose-mail.js';
import { type Mail, type Mailer, NotSent } from './mailer.js';

/** From the first packet to the server's word that it has the mail. */
export const SMTP_LIMIT_MS = 30_000;
const ANSWER_MS = 20_000;
// A server that is about to take the mail may do so while the process stops: cut off, it would be sent again.
const LAST_WORD_MS = 3_000;
const GOODBYE_MS = 2_000;

export interface SmtpMailerOptions {
  readonly server: SmtpServer;
  readonly from: Sender;
  /** Certificates that are trusted instead of the system's. */
  readonly authority?: string;
  readonly limitMs?: number;
}

/** Hands mails to a server, each over a connection of its own. */
export class SmtpMailer implements Mailer {
  readonly #options: SmtpMailerOptions;

  constructor(options: SmtpMailerOptions) {
    this.#options = options;
  }

  async send(mail: Mail, signal: AbortSignal): Promise<void> {
    const bytes = await composeMail(this.#options.from, mail);
    const connection = this.#open();
    const ended = new AbortController();
    const broken = new Promise<never>((_, reject) => {
      // More than one may come, and one that nobody hears ends the process.
      connection.on('error', reject);
      connection.once('end', () => reject(new NotSent('the server closed the connection', 'server')));
    });
    const late = this.#untilLate(signal, ended.signal);
    const sending = this.#hand(connection, mail.to, bytes);
    for (const each of [broken, late, sending]) each.catch(() => undefined);
    try {
      await Promise.race([sending, broken, late]);
      connection.quit();
      setTimeout(() => connection.close(), GOODBYE_MS).unref();
    } catch (error) {
      connection.close();
      throw notSent(error);
    } finally {
      ended.abort();
    }
  }

  #open(): SMTPConnection {
    const { server, authority } = this.#options;
    const { host, port, tls } = server;
    return new SMTPConnection({
      host,
      port,
      secure: tls === 'always',
      requireTLS: tls === 'required',
      ignoreTLS: tls === 'never',
      tls: { minVersion: 'TLSv1.2', ...(authority === undefined ? {} : { ca: authority }) },
      connectionTimeout: ANSWER_MS,
      greetingTimeout: ANSWER_MS,
      dnsTimeout: ANSWER_MS,
      socketTimeout: ANSWER_MS,
      socketCloseTimeout: 0,
    });
  }

  async #hand(connection: SMTPConnection, to: string, bytes: Buffer): Promise<void> {
    const { from, server } = this.#options;
    await answered((done) => connection.connect((error) => done(error)));
    if (server.login !== undefined) {
      const credentials = { user: server.login.user, pass: server.login.password };
      await answered((done) => connection.login({ credentials }, done));
    }
    const envelope = { from: from.address, to: [to], size: bytes.length };
    await answered((done) => connection.send(envelope, bytes, done));
  }

  /** Rejects when the time is over, or soon after the process begins to stop. */
  async #untilLate(signal: AbortSignal, ended: AbortSignal): Promise<never> {
    const limitMs = this.#options.limitMs ?? SMTP_LIMIT_MS;
    const stopping = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true, signal: ended });
    });
    const whole = sleep(limitMs, undefined, { signal: ended });
    await Promise.race([whole, stopping.then(() => sleep(LAST_WORD_MS, undefined, { signal: ended }))]);
    throw new NotSent(signal.aborted ? 'the process stops' : `no end after ${limitMs} ms`, 'server');
  }
}

function answered(step: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    step((error) => (error ? reject(error) : resolve()));
  });
}

/** By codes alone: what servers write repeats addresses, and may repeat a login. */
function notSent(error: unknown): NotSent {
  if (error instanceof NotSent) return error;
  const { code, originalCode, command, responseCode, permanent } = error as Partial<Record<string, unknown>>;
  const codes = [code, originalCode, command, responseCode].filter((each) => isCode(each));
  const isAboutMail = command === 'RCPT TO' || command === 'DATA';
  return new NotSent(codes.join(' ') || 'unknown', isAboutMail ? (permanent === true ? 'mail' : 'delay') : 'server');
}

function isCode(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && /^[A-Z][A-Z0-9_ -]{1,40}$/.test(value));
}
