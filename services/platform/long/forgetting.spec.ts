import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { condaPackage } from '../e2e/distributions.js';
import { BOUND_MS, killAfterUpdate, publishAndRead, revokeInUse, tokenInUse } from '../e2e/forgetting-scenes.js';
import { Publisher } from '../e2e/publisher.js';
import { Secrets } from '../e2e/secrets.js';
import { hasNats, TwoGateways } from '../e2e/two-gateways.js';

jest.setTimeout(45 * 60_000);

const SECRET = 'kept-back';
const PAUSED_MS = 20_000;

const suite = skipSuiteUnless(hasNats, 'forgetting, at length', 'nats-server is not installed (.ci/install.sh does)');

suite('at two gateways, at length', () => {
  const secrets = new Secrets();
  let stand: TwoGateways;
  let admin: Publisher;

  beforeAll(async () => {
    stand = await TwoGateways.start();
    admin = await Publisher.admin(stand.product, secrets);
    await admin.upload(condaPackage({ name: SECRET, version: '1.0' }), { isPrivate: true });
  });
  afterAll(async () => {
    await stand?.stop();
  });

  it('a revoked token is refused from the answer on, two hundred times', async () => {
    const answered: number[] = [];
    const served: number[] = [];
    for (let round = 0; round < 200; round++) {
      const refusal = await revokeInUse(stand, admin, await tokenInUse(stand, admin, SECRET));
      expect(refusal.servedAfter).toBe(0);
      answered.push(refusal.answeredMs);
      served.push(refusal.lastServedMs);
    }
    say('revocation sent → answered', answered);
    say('revocation sent → end of the last 200 at the other gateway', served);
  });

  it('a gateway that was stopped for twenty seconds does not serve a token that was revoked meanwhile', async () => {
    for (let round = 0; round < 5; round++) {
      const token = await tokenInUse(stand, admin, SECRET);
      const poll = stand.poll(token.paths);
      await sleep(randomInt(200));
      const { pid } = stand.second;
      process.kill(pid, 'SIGSTOP');
      try {
        await sleep(randomInt(3_000));
        await admin.removeToken(token.name);
        await sleep(PAUSED_MS);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      const resumedAt = performance.now();
      await stand.untilSecond(token.paths[0] ?? '', 401);
      const late = (await poll.stop()).filter(({ status, endedMs }) => status === 200 && endedMs > resumedAt);
      expect(late).toEqual([]);
    }
  });

  it('a connection that breaks at any moment of a revocation hides it from nobody for longer than the bound', async () => {
    for (let round = 0; round < 100; round++) {
      const token = await tokenInUse(stand, admin, SECRET);
      const refusal = await revokeInUse(stand, admin, token, async () => {
        await sleep(randomInt(60));
        stand.proxy.breakConnections();
      });
      expect(refusal.servedAfter).toBe(0);
      expect(refusal.lastServedMs).toBeLessThan(BOUND_MS);
      await stand.untilSecond(token.paths[0] ?? '', 401);
    }
  });

  it('identity that is killed between its update and its news', async () => {
    for (let round = 0; round < 10; round++) {
      const killed = await killAfterUpdate(stand, admin, await tokenInUse(stand, admin, SECRET));
      expect(killed.waiting).toBeGreaterThan(0);
      expect(killed.servedForMs).toBeLessThan(BOUND_MS);
    }
  });

  it('identity that is killed at any moment of a revocation', async () => {
    for (let round = 0; round < 20; round++) {
      const token = await tokenInUse(stand, admin, SECRET);
      const poll = stand.poll(token.paths);
      const sentAt = performance.now();
      const answered = admin.call('DELETE', `/authentications/name/${token.name}`).then(({ status }) => status);
      await sleep(randomInt(60));
      await stand.product.end('identity', 'SIGKILL');
      await stand.product.start('identity');
      await Promise.race([answered.catch(() => 0), sleep(500)]);
      const tokens = await admin.expectCall(200, 'GET', '/authentications');
      if (tokens.json<{ application: string }[]>().some(({ application }) => application === token.name)) {
        // It was never revoked, and serves on.
        await stand.untilSecond(token.paths[0] ?? '', 200);
        await poll.stop();
        await admin.removeToken(token.name);
      } else {
        await stand.untilSecond(token.paths[0] ?? '', 401);
        await poll.stop();
        expect((poll.lastServedMs ?? sentAt) - sentAt).toBeLessThan(BOUND_MS + 1_000);
      }
    }
  });

  it(
    'what is published through one gateway is read through the other at once, ten thousand times',
    async () => {
      // In channels of a usual size: it is no test of how an index of ten thousand files is read ten thousand times.
      for (let part = 0; part < 20; part++) {
        expect(await publishAndRead(stand, await admin.makeUser(`publisher-${part}`), 500)).toEqual([]);
      }
    },
    90 * 60_000,
  );

  function say(what: string, values: readonly number[]): void {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (share: number) =>
      (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1);
    process.stderr.write(`${what}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms of ${sorted.length}\n`);
  }
});
