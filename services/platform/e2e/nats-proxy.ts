import { connect, createServer, type Server, type Socket } from 'node:net';
import { recordSecret } from '@vivarium/testkit/run-record';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

const ASSERTION = /eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g;
const ASSERTIONS = 100;

/**
 * Stands between one process and NATS, and does what networks do: cuts, breaks, holds, and loses a single message. Knows of
 * the protocol where each frame from the server ends.
 */
export class NatsProxy {
  readonly #target: URL;
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  readonly #drops: { readonly subject: string; readonly done: () => void }[] = [];
  #isCut = false;
  #isHeld = false;
  #noted = 0;

  private constructor(target: URL) {
    this.#target = target;
    this.#listener = createServer((client) => this.#accept(client));
  }

  /** `url` is that of the real server, with its password. */
  static async open(url: string): Promise<NatsProxy> {
    const proxy = new NatsProxy(new URL(url));
    await new Promise<void>((resolve) => proxy.#listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** The way to the server through here. */
  get url(): string {
    const address = this.#listener.address();
    const through = new URL(this.#target);
    through.hostname = '127.0.0.1';
    through.port = typeof address === 'object' && address !== null ? String(address.port) : '0';
    return through.href.replace(/\/$/, '');
  }

  /** Ends all connections; new ones are taken. */
  breakConnections(): void {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  /** Ends all connections and takes no new one, until `mend`. */
  cut(): void {
    this.#isCut = true;
    this.breakConnections();
  }

  /** Lets nothing through in either direction, without ending a connection, until `mend`. */
  hold(): void {
    this.#isHeld = true;
    for (const { client, server } of this.#pairs) {
      client.pause();
      server.pause();
    }
  }

  mend(): void {
    this.#isCut = false;
    this.#isHeld = false;
    for (const { client, server } of this.#pairs) {
      client.resume();
      server.resume();
    }
  }

  /** Loses the next message on the subject on its way from the server. Resolves when that has happened. */
  dropNext(subject: string): Promise<void> {
    return new Promise((resolve) => this.#drops.push({ subject, done: resolve }));
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.#isCut) {
      client.destroy();
      return;
    }
    const server = connect(Number(this.#target.port), this.#target.hostname);
    const pair = { client, server };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', end).on('close', end);
    client.on('data', (chunk: Buffer) => {
      this.#note(chunk);
      server.write(chunk);
    });
    let rest: Buffer = Buffer.alloc(0);
    server.on('data', (chunk: Buffer) => {
      const { frames, left } = framesIn(Buffer.concat([rest, chunk]));
      rest = left;
      for (const frame of frames) if (!this.#loses(frame)) client.write(frame);
    });
    if (this.#isHeld) this.hold();
  }

  /** What proves on the bus who is calling is a secret as long as it counts. */
  #note(chunk: Buffer): void {
    for (const [assertion] of chunk.toString('latin1').matchAll(ASSERTION)) {
      if (this.#noted++ < ASSERTIONS) recordSecret('assertion on the bus', assertion);
    }
  }

  #loses(frame: Buffer): boolean {
    const [verb, subject] = frame.subarray(0, frame.indexOf('\r\n')).toString('latin1').split(' ');
    if (verb !== 'MSG' && verb !== 'HMSG') return false;
    const at = this.#drops.findIndex((drop) => drop.subject === subject);
    if (at < 0) return false;
    this.#drops.splice(at, 1)[0]?.done();
    return true;
  }
}

/** Whole frames: a line, and for a message the bytes whose number ends the line. */
function framesIn(bytes: Buffer): { readonly frames: readonly Buffer[]; readonly left: Buffer } {
  const frames: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) break;
    const line = bytes.toString('latin1', at, lineEnd);
    const size = /^H?MSG /.test(line) ? Number(line.slice(line.lastIndexOf(' ') + 1)) + 2 : 0;
    const end = lineEnd + 2 + size;
    if (end > bytes.length) break;
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return { frames, left: bytes.subarray(at) };
}
