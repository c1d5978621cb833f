import { connect, type NatsConnection } from '@nats-io/transport-node';
import pg from 'pg';

const SUBJECT = 'bench.echo';

/** What the least that can be asked of the servers below takes, on the same machine and at the same time. */
export interface Least {
  /** One commit of one row. */
  readonly commitMs: number;
  /** One question over NATS and its answer. */
  readonly roundTripMs: number;
}

/** The servers below, without the product. */
export class Bare {
  readonly #database: pg.Client;
  readonly #asking: NatsConnection;
  readonly #answering: NatsConnection;

  private constructor(database: pg.Client, asking: NatsConnection, answering: NatsConnection) {
    this.#database = database;
    this.#asking = asking;
    this.#answering = answering;
  }

  static async open(env: Readonly<Record<string, string>>): Promise<Bare> {
    const database = new pg.Client({ connectionString: env.DATABASE_URL ?? '' });
    await database.connect();
    await database.query('CREATE SCHEMA bench; CREATE TABLE bench.commits (id bigserial PRIMARY KEY, at timestamptz)');
    const { username, password, host } = new URL(env.NATS_URL ?? '');
    const options = { servers: host, user: decodeURIComponent(username), pass: decodeURIComponent(password) };
    const [asking, answering] = [await connect(options), await connect(options)];
    answering.subscribe(SUBJECT, { callback: (_, message) => void message.respond(message.data) });
    await answering.flush();
    return new Bare(database, asking, answering);
  }

  async measure(): Promise<Least> {
    const commitMs = await timeOf(() => this.#database.query('INSERT INTO bench.commits (at) VALUES (now())'));
    const roundTripMs = await timeOf(() => this.#asking.request(SUBJECT, 'echo', { timeout: 5_000 }));
    return { commitMs, roundTripMs };
  }

  async close(): Promise<void> {
    await Promise.all([this.#database.end(), this.#asking.close(), this.#answering.close()]);
  }
}

async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await run();
  return performance.now() - begun;
}
