import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { openNatsBus } from '@vivarium/rpc/nats';
import { clientOf } from '@vivarium/rpc/rpc';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { productTarget } from '@vivarium/testkit/product';
import { condaPackage } from './distributions.js';
import {
  BOUND_MS,
  fresh,
  killAfterUpdate,
  publishAndRead,
  publishPublic,
  revokeInUse,
  shownToStrangers,
  tokenInUse,
} from './forgetting-scenes.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { hasNats, TwoGateways } from './two-gateways.js';

jest.setTimeout(120_000);

const PAUSED_MS = 7_000;
const SECRET = 'kept-back';
const isHere = productTarget() === 'services' && hasNats;
const suite = skipSuiteUnless(
  isHere,
  'forgetting at two gateways',
  'it needs nats-server and separate services (npm run e2e:services)',
);

suite('at two gateways', () => {
  const secrets = new Secrets();
  let stand: TwoGateways;
  let admin: Publisher;

  beforeAll(async () => {
    stand = await TwoGateways.start();
    admin = await Publisher.admin(stand.product, secrets);
    await admin.upload(condaPackage({ name: SECRET, version: '1.0' }), { isPrivate: true });
    await admin.upload(condaPackage({ name: 'open', version: '1.0' }));
  });
  afterAll(async () => {
    await stand?.stop();
  });

  describe('a revoked token', () => {
    it('is refused at the other gateway from the answer of the revocation on', async () => {
      for (let round = 0; round < 10; round++) {
        const refusal = await revokeInUse(stand, admin, await tokenInUse(stand, admin, SECRET));
        expect(refusal).toMatchObject({ servedAfter: 0 });
        expect(refusal.answeredMs).toBeLessThan(1_000);
      }
    });

    it('is refused by a gateway that is cut off, which goes on serving strangers what is public', async () => {
      const token = await tokenInUse(stand, admin, SECRET);
      const open = `/conda/admin/noarch/open-1.0-0.conda`;
      for (const path of [open, '/conda/admin/noarch/repodata.json'])
        expect((await stand.askSecond(path)).status).toBe(200);
      stand.proxy.cut();
      try {
        const refusal = await revokeInUse(stand, admin, token);
        expect(refusal.servedAfter).toBe(0);
        expect(refusal.lastServedMs).toBeLessThan(BOUND_MS);
        const refused = await stand.askSecond(token.paths[0] ?? '');
        expect([refused.status, refused.headers['retry-after']]).toEqual([503, expect.stringMatching(/^\d+$/)]);
        for (const path of [open, '/conda/admin/noarch/repodata.json']) {
          expect([path, (await stand.askSecond(path)).status]).toEqual([path, 200]);
        }
        // What is not in memory is not known to be missing.
        expect((await stand.askSecond('/conda/admin/noarch/unheard-1.0-0.conda')).status).toBe(503);
      } finally {
        stand.proxy.mend();
      }
      await stand.untilSecond(token.paths[0] ?? '', 401);
    });

    it('is refused by a gateway that hears nothing without noticing', async () => {
      const token = await tokenInUse(stand, admin, SECRET);
      stand.proxy.hold();
      try {
        const refusal = await revokeInUse(stand, admin, token);
        expect(refusal.servedAfter).toBe(0);
        expect(refusal.lastServedMs).toBeLessThan(BOUND_MS);
      } finally {
        stand.proxy.mend();
      }
      await stand.untilSecond(token.paths[0] ?? '', 401);
    });

    it('is refused by a gateway that missed the one message about it', async () => {
      const token = await tokenInUse(stand, admin, SECRET);
      const dropped = stand.proxy.dropNext('invalidations.identity');
      const refusal = await revokeInUse(stand, admin, token, () => dropped);
      expect(refusal.servedAfter).toBe(0);
      expect(refusal.lastServedMs).toBeLessThan(BOUND_MS);
    });

    it('is refused by a gateway that was stopped for a while, from its first answer on', async () => {
      const token = await tokenInUse(stand, admin, SECRET);
      const poll = stand.poll(token.paths);
      const { pid } = stand.second;
      await sleep(100);
      process.kill(pid, 'SIGSTOP');
      const stoppedAt = performance.now();
      let resumedAt = 0;
      try {
        await admin.removeToken(token.name);
        await sleep(Math.max(0, PAUSED_MS - (performance.now() - stoppedAt)));
      } finally {
        resumedAt = performance.now();
        process.kill(pid, 'SIGCONT');
      }
      await sleep(2_000);
      const samples = await poll.stop();
      // Received after the resume, whenever it was asked for.
      const late = samples.filter(({ endedMs }) => endedMs > resumedAt);
      expect(late.length).toBeGreaterThan(3);
      expect(late.filter(({ status }) => status === 200)).toEqual([]);
      await stand.untilSecond(token.paths[0] ?? '', 401);
    });

    it('is refused by a gateway that was connecting again in the middle of the revocation', async () => {
      for (const afterMs of [0, 3, 8, 15, 30]) {
        const token = await tokenInUse(stand, admin, SECRET);
        const refusal = await revokeInUse(stand, admin, token, async () => {
          await sleep(afterMs);
          stand.proxy.breakConnections();
        });
        expect(refusal.servedAfter).toBe(0);
        expect(refusal.lastServedMs).toBeLessThan(BOUND_MS);
        await stand.untilSecond(token.paths[0] ?? '', 401);
      }
    });

    it('is revoked without a wait for a gateway that has ended in good order', async () => {
      await admin.makeToken({ name: 'short-lived', scopes: ['repos'] });
      await stand.second.end('SIGTERM');
      const sentAt = performance.now();
      await admin.removeToken('short-lived');
      expect(performance.now() - sentAt).toBeLessThan(2_000);
      stand.second.start();
      await stand.second.untilReady();
    });

    it('is refused when identity was killed after its update, before anybody was told', async () => {
      const killed = await killAfterUpdate(stand, admin, await tokenInUse(stand, admin, SECRET));
      expect(killed.waiting).toBeGreaterThan(0);
      expect(killed.status).not.toBe(201);
      expect(killed.servedForMs).toBeLessThan(BOUND_MS);
    });
  });

  describe('a package that turns private', () => {
    it('is in no format of any gateway from the answer on while no indexer runs, nor when they run again', async () => {
      const names = await publishPublic(admin);
      expect((await shownToStrangers(stand, names)).filter((each) => each.names.length === 0)).toEqual([]);
      const indexers = ['conda-index', 'pypi-index'].map((name) => stand.product.pidOf(name));
      for (const pid of indexers) process.kill(pid, 'SIGSTOP');
      try {
        await Promise.all(names.map((name) => admin.setVisibility(name, 'private')));
        for (const each of await shownToStrangers(stand, names)) {
          expect(each).toMatchObject({ names: [], status: 503 });
        }
      } finally {
        for (const pid of indexers) process.kill(pid, 'SIGCONT');
      }
      await stand.untilSecond('/conda/admin/noarch/repodata.json', 200);
      await stand.untilSecond('/pypi/admin/simple/', 200);
      for (const each of await shownToStrangers(stand, names)) expect(each).toMatchObject({ names: [], status: 200 });
    });

    it('is not shown by a gateway that is cut off and remembers it', async () => {
      const names = await publishPublic(admin);
      expect((await shownToStrangers(stand, names)).filter((each) => each.names.length === 0)).toEqual([]);
      stand.proxy.cut();
      try {
        // Its lease runs out: what it shows from here on is above the floor.
        await sleep(BOUND_MS);
        const before = await shownToStrangers(stand, names);
        expect(before.filter((each) => each.status !== 200 || each.names.length === 0)).toEqual([]);
        for (const name of names) await admin.setVisibility(name, 'private');
        // The floor may have been read a moment before.
        await sleep(1_100);
        for (const each of await shownToStrangers(stand, names)) {
          expect(each).toMatchObject({ names: [], status: each.gateway === 1 ? 200 : 503 });
        }
      } finally {
        stand.proxy.mend();
      }
      await stand.untilSecond('/conda/admin/noarch/repodata.json', 200);
      for (const each of await shownToStrangers(stand, names)) expect(each.names).toEqual([]);
    });
  });

  it('what is published through one gateway is read through the other at once, three hundred times', async () => {
    expect(await publishAndRead(stand, admin, 300)).toEqual([]);
  }, 300_000);

  it('a file that takes the name of a removed one is what both gateways send from its answer on', async () => {
    const name = fresh('retaken');
    const path = `/conda/admin/noarch/${name}-1.0-0.conda`;
    const [first, second] = ['one', 'two'].map((summary) => condaPackage({ name, version: '1.0', about: { summary } }));
    if (first === undefined || second === undefined) throw new Error('two were made');
    await admin.upload(first);
    await admin.expectCall(201, 'DELETE', `/package/admin/${name}`);
    // Removed, and still answered at its address.
    for (const askAt of [stand.askFirst.bind(stand), stand.askSecond.bind(stand)]) {
      expect((await askAt(path)).headers.etag).toBe(`"${first.sha256}"`);
    }
    await admin.upload(second);
    for (const askAt of [stand.askFirst.bind(stand), stand.askSecond.bind(stand)]) {
      expect((await askAt(path)).headers.etag).toBe(`"${second.sha256}"`);
    }
  });

  it('a token with ten uses gets ten files out of two hundred requests to two gateways, one of which starts anew', async () => {
    const token = await tokenWithUses(10n);
    const path = `/t/${token}/admin/noarch/${SECRET}-1.0-0.conda`;
    const statuses: number[] = [];
    const askOnce = async (at: number): Promise<void> => {
      const askAt = at % 2 === 0 ? stand.askFirst.bind(stand) : stand.askSecond.bind(stand);
      statuses.push((await askAt(path).catch(() => undefined))?.status ?? 0);
    };
    for (let at = 0; at < 4; at++) await askOnce(at);
    // What is asked without taking anything is free.
    const { etag } = (await stand.askFirst(`/conda/admin/noarch/open-1.0-0.conda`)).headers;
    expect(etag).toBeDefined();
    expect((await stand.askSecond(`/t/${token}/admin/noarch/absent-1.0-0.conda`)).status).toBe(404);
    const restarted = stand.second.end('SIGTERM').then(() => stand.second.start());
    await Promise.all(Array.from({ length: 40 }, (_, at) => (at % 2 === 1 ? askOnce(at) : undefined)));
    await restarted;
    await stand.second.untilReady();
    await Promise.all(Array.from({ length: 160 }, (_, at) => askOnce(at)));
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect((await stand.askSecond(`/t/${token}/admin/noarch/repodata.json`)).status).toBe(401);
  });

  it('tells none of the secrets in its output', () => {
    const said = stand.second.said();
    expect([...secrets.toldBy(stand.product), ...secrets.foundIn(said)]).toEqual([]);
  });

  /** There is no address for this yet, so it is asked for as the gateway would ask. */
  async function tokenWithUses(uses: bigint): Promise<string> {
    const parent = await admin.makeToken({ name: fresh('parent') });
    const log = { error: (fields: unknown, message: string) => process.stderr.write(`${message} ${String(fields)}\n`) };
    const bus = await openNatsBus({ url: stand.product.env.NATS_URL ?? '', service: 'gateway', log });
    try {
      const value = createHash('sha256').update(parent).digest();
      const asked = { credential: { case: 'tokenSha256', value } as const, audiences: ['identity'], address: '' };
      const { assertions } = await clientOf(Callers, bus).whoIs(asked);
      const wish = { name: fresh('limited'), scopes: ['repos'], uses, failIfExists: true };
      const assertion = assertions.identity ?? '';
      return secrets.keep('limited token', (await clientOf(Tokens, bus).create(wish, { assertion })).token);
    } finally {
      await bus.drain();
    }
  }
});
