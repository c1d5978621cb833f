import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { changeDuring, type Forgetting } from '@vivarium/testkit/forgetting';
import { formatsOf } from '@vivarium/testkit/stranger-formats';
import pg from 'pg';
import { condaPackage, wheel } from './distributions.js';
import type { Publisher } from './publisher.js';
import type { TwoGateways } from './two-gateways.js';

/** What may pass between a revocation and the last answer to the token at a gateway that cannot be told. */
export const BOUND_MS = 5_000;

const CHANNEL = 'admin';
let made = 0;

/** A name that nothing else has. */
export function fresh(prefix: string): string {
  return `${prefix}-${++made}-${randomInt(1_000_000)}`;
}

export interface InUse {
  readonly name: string;
  /** Private things, under the token. */
  readonly paths: readonly string[];
}

/** A token that the second gateway knows: it has just answered it an index and an artifact of a private package. */
export async function tokenInUse(stand: TwoGateways, admin: Publisher, secret: string): Promise<InUse> {
  const name = fresh('passing');
  const token = await admin.makeToken({ name, scopes: ['repos'] });
  const paths = [
    `/t/${token}/${CHANNEL}/noarch/repodata.json`,
    `/t/${token}/${CHANNEL}/noarch/${secret}-1.0-0.conda`,
    `/pypi/t/${token}/${CHANNEL}/simple/`,
  ];
  for (const path of paths) {
    const { status, text } = await stand.askSecond(path);
    if (status !== 200) throw new Error(`a new token was answered ${status}: ${text()}`);
  }
  return { name, paths };
}

/** Revokes a token through the first gateway while it is in use at the second; `during` runs as soon as that was sent. */
export function revokeInUse(
  stand: TwoGateways,
  admin: Publisher,
  token: InUse,
  during?: () => Promise<void>,
): Promise<Forgetting> {
  return changeDuring(stand.poll(token.paths), () => admin.removeToken(token.name), during);
}

/**
 * Kills identity when a token is revoked in its table and nobody was told: the relay of what is to be told waits for a lock,
 * which we hold. Gives for how long after that the token was answered at the second gateway, and how the first answered.
 */
export async function killAfterUpdate(stand: TwoGateways, admin: Publisher, token: InUse) {
  const { product } = stand;
  const database = new pg.Client({ connectionString: product.env.DATABASE_URL ?? '' });
  await database.connect();
  try {
    await database.query('SET search_path = identity');
    await database.query("BEGIN; SELECT pg_advisory_xact_lock(72707370, 'outbox_seq'::regclass::oid::int)");
    const poll = stand.poll(token.paths);
    const answered = admin.call('DELETE', `/authentications/name/${token.name}`).then(
      ({ status }) => status,
      () => 0,
    );
    const isRevoked = async (): Promise<boolean> => {
      const { rows } = await database.query('SELECT 1 FROM tokens WHERE name = $1 AND revoked_at IS NOT NULL', [
        token.name,
      ]);
      return rows.length > 0;
    };
    while (!(await isRevoked())) await sleep(2);
    const revokedAt = performance.now();
    await product.end('identity', 'SIGKILL');
    const { rows: waiting } = await database.query('SELECT 1 FROM outbox');
    await database.query('COMMIT');
    await sleep(1_000);
    await product.start('identity');
    await stand.untilSecond(token.paths[0] ?? '', 401);
    await poll.stop();
    // Of who asked for the revocation: 0 while it waits for an answer that died.
    const status = await Promise.race([answered, sleep(10, 0)]);
    return { servedForMs: (poll.lastServedMs ?? revokedAt) - revokedAt, waiting: waiting.length, status };
  } finally {
    await database.end();
  }
}

export interface Shown {
  readonly format: string;
  readonly gateway: number;
  readonly status: number;
  readonly names: readonly string[];
}

/** Which of the names each format of both gateways shows to a stranger. */
export function shownToStrangers(stand: TwoGateways, names: readonly string[]): Promise<readonly Shown[]> {
  const asks = [stand.askFirst.bind(stand), stand.askSecond.bind(stand)];
  return Promise.all(
    asks.flatMap((askAt, gateway) =>
      formatsOf(CHANNEL).map(async ({ name: format, path, headers, textOf }) => {
        const { status, bytes } = await askAt(path, headers);
        const text = status === 200 ? textOf(bytes) : bytes.toString('latin1');
        return { format, gateway: gateway + 1, status, names: names.filter((name) => text.includes(name)) };
      }),
    ),
  );
}

/** A public conda package and a public Python project, in every format of both gateways. */
export async function publishPublic(admin: Publisher): Promise<readonly string[]> {
  const names = [fresh('turning'), fresh('py-turning')];
  await admin.upload(condaPackage({ name: names[0] ?? '', version: '1.0' }));
  await admin.upload(wheel({ name: names[1] ?? '', version: '1.0' }));
  return names;
}

/**
 * Publishes file after file into the publisher's own channel through the first gateway and reads each through the second as
 * soon as that is answered, from its index and by its address. The second has been asked for it before, and now and then
 * loses a message. Gives what was not there.
 */
export async function publishAndRead(
  stand: TwoGateways,
  publisher: Publisher,
  count: number,
): Promise<readonly string[]> {
  const repodata = `/conda/${publisher.login}/noarch/repodata.json`;
  const missing: string[] = [];
  const lanes = Array.from({ length: 4 }, async (_, lane) => {
    const package_ = fresh('read');
    for (let at = lane; at < count; at += 4) {
      const file = condaPackage({ name: package_, version: `1.${at}` });
      const path = `/conda/${publisher.login}/${file.basename}`;
      const before = await stand.askSecond(path);
      if (before.status !== 404) missing.push(`${path} was ${before.status} before it was published`);
      if (at % 25 === 0)
        void stand.proxy.dropNext(at % 2 === 0 ? 'invalidations.packages' : 'invalidations.conda-index');
      // The first makes the package; a release comes with its file.
      if (at === lane) await publisher.register(file);
      const ticket = await publisher.stage(file);
      await publisher.send(ticket, file);
      const committed = (await publisher.commit(file, ticket)).json<{ index?: string }>();
      const [artifact, index] = [await stand.askSecond(path), await stand.askSecond(repodata)];
      if (artifact.status !== 200) missing.push(`${path} is ${artifact.status}: ${artifact.text()}`);
      const isShown = index.status === 200 && index.text().includes(file.basename.replace('noarch/', ''));
      if (!isShown) missing.push(`${path} is not in an index of ${index.status} (${JSON.stringify(committed.index)})`);
    }
  });
  await Promise.all(lanes);
  return missing;
}
