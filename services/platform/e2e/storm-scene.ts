import { setTimeout as sleep } from 'node:timers/promises';
import { type Read, violationsOf, type Write } from '@vivarium/testkit/history';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { condaPackage, wheel } from './distributions.js';
import { type Distribution, Publisher, UploadRefused } from './publisher.js';
import { Secrets } from './secrets.js';
import { Choice } from './storm-choice.js';
import { StormReader } from './storm-readers.js';

const KILLED = ['gateway', 'gateway-2', 'packages', 'conda-index', 'pypi-index', 'identity', 'authz'] as const;
const DOWN_MS = 400;
const UP_MS = 600;
const RETRY_MS = 500;
// When a process dies behind the gateway, the gateway waits for it longer than an impatient client does. Each try is given
// longer than the one before, so that a slow machine gets there too.
const PATIENCE_MS = 12_000;
const MOST_PATIENCE_MS = 55_000;

interface Published extends Write {
  readonly file: Distribution;
}

/**
 * Fifty files at a time are uploaded through two gateways, while processes are killed and others read: what was done and seen is
 * kept, with its times.
 */
export class Storm {
  readonly product: Product;
  readonly #choice: Choice;
  readonly #secrets: Secrets;
  readonly #admin: Publisher;
  readonly #readers: readonly StormReader[];
  readonly #writes: Published[] = [];
  readonly #wrong: string[] = [];
  readonly #steps = new Map<string, number>();
  #kills = 0;

  private constructor(
    product: Product,
    choice: Choice,
    secrets: Secrets,
    admin: Publisher,
    readers: readonly StormReader[],
  ) {
    this.product = product;
    this.#choice = choice;
    this.#secrets = secrets;
    this.#admin = admin;
    this.#readers = readers;
  }

  static async start(seed: number): Promise<Storm> {
    process.stderr.write(`storm: VIVARIUM_SEED=${seed}\n`);
    const product = await startProduct({ target: 'services', gateways: 2 });
    try {
      const secrets = new Secrets();
      const admin = await Publisher.admin(product, secrets);
      const token = await admin.makeToken({ name: 'reader' });
      const readers = product.gateways.flatMap((gateway, at) => [
        new StormReader(product, gateway, `gateway ${at + 1}`, token),
        new StormReader(product, gateway, `gateway ${at + 1}, as a stranger`, undefined),
      ]);
      return new Storm(product, new Choice(seed), secrets, admin, readers);
    } catch (error) {
      await product.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.stop()));
    await this.product.stop();
  }

  /** So many times fifty uploads at once, and so many kills meanwhile. */
  async rage(rounds: number, kills: number): Promise<void> {
    for (const reader of this.#readers) reader.start();
    for (let round = 0; round < rounds; round++) {
      const share = Math.ceil((kills * (round + 1)) / rounds);
      const uploads = this.#choice.shuffled(fifty(round)).map((file) => this.#publish(file));
      while (this.#kills < share) await this.#killOne();
      await Promise.all(uploads);
    }
    // Seen once more, by everybody, when all is calm.
    await sleep(2_000);
    await Promise.all(this.#readers.map((reader) => reader.stop()));
  }

  /** What should not be: answers that no client can do anything with, and what no order of the uploads explains. */
  wrong(): readonly string[] {
    return [...this.#wrong, ...this.#readers.flatMap((reader) => reader.wrong), ...this.#unexplained()];
  }

  summary(): string {
    const list = (tallies: readonly ReadonlyMap<string, number>[]) => {
      const sum = new Map<string, number>();
      for (const tally of tallies) for (const [what, times] of tally) sum.set(what, (sum.get(what) ?? 0) + times);
      return (
        [...sum]
          .sort()
          .map(([what, times]) => `${what} ${times}`)
          .join(', ') || 'none'
      );
    };
    const reads = this.#readers.flatMap((reader) => [...reader.seen.values()]).flat().length;
    return [
      `${this.#kills} kills`,
      `${this.#writes.length} uploads`,
      `${reads} reads checked`,
      `answers to readers: ${list(this.#readers.map(({ statuses }) => statuses))}`,
      `steps of uploads that were repeated: ${list([this.#steps])}`,
    ].join(' | ');
  }

  /** Every file is in every format of both gateways, and there is nothing to mend. */
  async expectWhole(): Promise<void> {
    const token = await this.#admin.makeToken({ name: 'at the end' });
    for (const [at, gateway] of this.product.gateways.entries()) {
      const reader = new StormReader(this.product, gateway, `gateway ${at + 1} at the end`, token);
      for (const [what, names] of this.#namesByPlace()) {
        for (const [format, seen] of await reader.all(what)) {
          expect([at, what, format, [...seen].sort()]).toEqual([at, what, format, [...names].sort()]);
        }
      }
    }
    const { code, stdout } = await this.product.command(['fsck', '--bytes'], { timeoutMs: 240_000 });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/: 0 differences\n$/)]);
    expect(this.#secrets.toldBy(this.product)).toEqual([]);
  }

  async #killOne(): Promise<void> {
    const name = this.#choice.one(KILLED);
    const [downMs, upMs] = [this.#choice.below(DOWN_MS), this.#choice.below(UP_MS)];
    await this.product.end(name, 'SIGKILL');
    this.#kills++;
    await sleep(downMs);
    await this.product.start(name);
    await sleep(upMs);
  }

  async #publish(file: Distribution): Promise<void> {
    const invokedMs = performance.now();
    const isPublished = await this.#untilPublished(file);
    const acknowledgedMs = isPublished ? performance.now() : undefined;
    this.#writes.push({ file, name: nameOf(file), invokedMs, acknowledgedMs });
  }

  /**
   * As `anaconda upload --skip-existing`, run again until the file is there, and everybody can read it. False if it was refused for
   * good.
   */
  async #untilPublished(file: Distribution): Promise<boolean> {
    // An earlier try may still be under way without our knowing.
    let mayBeThere = false;
    for (let patienceMs = PATIENCE_MS; ; patienceMs = Math.min(2 * patienceMs, MOST_PATIENCE_MS)) {
      // As a balancer would: any gateway, another one each time.
      const publisher = this.#admin.at(this.#choice.one(this.product.gateways));
      try {
        await Promise.race([publishOnce(publisher, file), impatience(patienceMs)]);
        return true;
      } catch (error) {
        const refusal = error instanceof UploadRefused ? error : undefined;
        const step =
          refusal === undefined ? 'no answer' : `${refusal.step.split('/')[1] ?? refusal.step} ${refusal.status}`;
        this.#steps.set(step, (this.#steps.get(step) ?? 0) + 1);
        const mayBeRepeated =
          refusal === undefined ||
          (refusal.status === 503 && refusal.retryAfter !== undefined) ||
          (refusal.status === 409 && mayBeThere);
        if (!mayBeRepeated) {
          this.#wrong.push(`the upload of ${file.basename}: ${error}`);
          return false;
        }
        mayBeThere = true;
      }
      await sleep(RETRY_MS);
    }
  }

  #unexplained(): readonly string[] {
    return [...this.#writesByPlace()].flatMap(([what, writes]) => {
      const reads: Read[] = this.#readers.flatMap((reader) => reader.seen.get(what) ?? []);
      return violationsOf({ writes, reads }).map((sentence) => `${what}: ${sentence}`);
    });
  }

  #namesByPlace(): ReadonlyMap<string, ReadonlySet<string>> {
    return new Map([...this.#writesByPlace()].map(([what, writes]) => [what, new Set(writes.map(({ name }) => name))]));
  }

  /** What was written of each thing that is read: the conda index, the list of projects, and each project's page. */
  #writesByPlace(): ReadonlyMap<string, readonly Write[]> {
    const places = new Map<string, readonly Write[]>();
    const add = (what: string, write: Write) => places.set(what, [...(places.get(what) ?? []), write]);
    for (const { file, ...write } of this.#writes) add(file.type === 'conda' ? 'conda' : file.name, write);
    const projects = Map.groupBy(
      this.#writes.filter(({ file }) => file.type === 'pypi'),
      ({ file }) => file.name,
    );
    for (const [name, writes] of projects) {
      // A project is there with the first of its files.
      const invokedMs = Math.min(...writes.map((write) => write.invokedMs));
      const acknowledged = writes.flatMap(({ acknowledgedMs }) =>
        acknowledgedMs === undefined ? [] : [acknowledgedMs],
      );
      add('projects', {
        name,
        invokedMs,
        acknowledgedMs: acknowledged.length === 0 ? undefined : Math.min(...acknowledged),
      });
    }
    return places;
  }
}

/** Twenty-five builds of one package or versions of one project, and twenty-five packages and projects of their own. */
function fifty(round: number): readonly Distribution[] {
  return Array.from({ length: 25 }, (_, at) => [
    at % 2 === 0
      ? condaPackage({ name: 'crowd', version: `1.${round}`, build: `b_${at}` })
      : wheel({ name: 'crowd-wheel', version: `${round}.${at}` }),
    at % 2 === 0
      ? condaPackage({ name: `single-${round}-${at}`, version: '1.0' })
      : wheel({ name: `single-wheel-${round}-${at}`, version: '1.0' }),
  ]).flat();
}

async function publishOnce(publisher: Publisher, file: Distribution): Promise<void> {
  const path = `/dist/${publisher.login}/${file.name}/${file.version}/${file.basename}`;
  const there = await publisher.call('GET', path);
  if (there.status === 404) {
    await publisher.register(file);
    const ticket = await publisher.stage(file);
    await publisher.send(ticket, file);
    const committed = await publisher.commit(file, ticket);
    if (committed.json<{ index: string }>().index === 'ready') return;
  } else if (there.status !== 200) {
    throw new UploadRefused('GET /dist', there.status, there.text(), there.headers['retry-after']);
  }
  // An earlier try got through, or the index is pending: nothing was promised of readers yet.
  const waited = await publisher.expectCall(200, 'GET', `/channels/${publisher.login}/generation?wait=5000`);
  if (!waited.json<{ readable: boolean }>().readable) throw new Error('the index is pending');
}

async function impatience(patienceMs: number): Promise<never> {
  await sleep(patienceMs, undefined, { ref: false });
  throw new Error('no answer in time');
}

function nameOf({ type, basename }: Distribution): string {
  return type === 'conda' ? basename.replace('noarch/', '') : basename;
}
