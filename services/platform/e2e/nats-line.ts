import { connect, type Socket } from 'node:net';

/** A message as the server handed it over. */
export interface Heard {
  readonly subject: string;
  readonly sid: string;
  readonly reply: string | undefined;
  readonly text: string;
}

/**
 * A connection to NATS that says exactly what it is told, line by line, so that a test sees each refusal of the server.
 * Source: the NATS client protocol, as its documentation describes it.
 */
export class NatsLine {
  readonly #socket: Socket;
  readonly #refusals: string[] = [];
  readonly #heard: Heard[] = [];
  readonly #pongs: (() => void)[] = [];
  #rest = '';
  #sids = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket
      .setNoDelay(true)
      .setEncoding('latin1')
      .on('data', (chunk: string) => this.#take(chunk));
  }

  /** Resolves when the server has let it in. Throws an Error with what the server says if it does not. */
  static async open(url: string): Promise<NatsLine> {
    const { hostname, port, username, password } = new URL(url);
    const socket = connect(Number(port), hostname);
    const line = new NatsLine(socket);
    const user = username === '' ? {} : { user: username, pass: password };
    line.#say(`CONNECT ${JSON.stringify({ verbose: false, lang: 'test', version: '0', protocol: 1, ...user })}`);
    await line.settle();
    return line;
  }

  publish(subject: string, text: string): void {
    this.#say(`PUB ${subject} ${text.length}\r\n${text}`);
  }

  request(subject: string, reply: string, text: string): void {
    this.#say(`PUB ${subject} ${reply} ${text.length}\r\n${text}`);
  }

  /** Gives the number under which it hears. */
  subscribe(pattern: string, queue = ''): string {
    const sid = String(++this.#sids);
    this.#say(`SUB ${pattern} ${queue} ${sid}`);
    return sid;
  }

  unsubscribe(sid: string): void {
    this.#say(`UNSUB ${sid}`);
  }

  /** Resolves when the server has answered all that was said. Throws an Error if it has hung up. */
  async settle(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const hungUp = () => reject(new Error(`NATS hung up: ${this.#refusals.join('; ')}`));
      this.#socket.once('close', hungUp).once('error', hungUp);
      this.#pongs.push(() => {
        this.#socket.off('close', hungUp).off('error', hungUp);
        resolve();
      });
      this.#say('PING');
    });
  }

  /** What the server refused since this was asked last, in its words. */
  refusals(): readonly string[] {
    return this.#refusals.splice(0);
  }

  /** What was heard since this was asked last. */
  heard(): readonly Heard[] {
    return this.#heard.splice(0);
  }

  close(): void {
    this.#socket.destroy();
  }

  #say(line: string): void {
    this.#socket.write(`${line}\r\n`);
  }

  #take(chunk: string): void {
    this.#rest += chunk;
    for (;;) {
      const end = this.#rest.indexOf('\r\n');
      if (end < 0) return;
      const [verb = '', ...words] = this.#rest.slice(0, end).split(' ');
      let next = end + 2;
      if (verb === 'MSG') {
        const sizeBytes = Number(words.at(-1));
        if (this.#rest.length < next + sizeBytes + 2) return;
        const [subject = '', sid = ''] = words;
        const text = this.#rest.slice(next, next + sizeBytes);
        this.#heard.push({ subject, sid, reply: words.length === 4 ? words[2] : undefined, text });
        next += sizeBytes + 2;
      }
      this.#rest = this.#rest.slice(next);
      if (verb === '-ERR') this.#refusals.push(words.join(' '));
      if (verb === 'PING') this.#say('PONG');
      if (verb === 'PONG') this.#pongs.shift()?.();
    }
  }
}
