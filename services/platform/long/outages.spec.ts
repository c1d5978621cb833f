import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { canRestartServers, Outages, SERVERS } from '../e2e/outage-scenes.js';

jest.setTimeout(10 * 60_000);

const DOWN_MS = 20_000;

const suite = skipSuiteUnless(
  canRestartServers(),
  'outages of PostgreSQL, NATS, Redis and S3, at length',
  'it needs nats-server, versitygw and redis-server or valkey-server (.ci/install.sh installs them)',
);

suite('while people read and publish, what is refused can be repeated, nothing is lost, and all recovers', () => {
  let outages: Outages;

  beforeAll(async () => {
    outages = await Outages.start();
  });
  afterAll(async () => {
    await outages?.stop();
  });

  it.each(SERVERS)('when %s is restarted in good order, and is killed, three times each', async (kind) => {
    for (let round = 0; round < 3; round++) {
      await outages.survive(kind, { signal: 'SIGTERM' });
      await outages.survive(kind, { signal: 'SIGKILL' });
    }
  });

  it.each(SERVERS)('when %s refuses connections for twenty seconds', async (kind) => {
    await outages.survive(kind, { downMs: DOWN_MS });
  });

  it('and there is nothing to mend', async () => {
    await outages.expectSound();
  });
});
