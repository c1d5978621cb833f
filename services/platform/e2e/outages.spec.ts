import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { productTarget } from '@vivarium/testkit/product';
import { canRestartServers, Outages, SERVERS } from './outage-scenes.js';

jest.setTimeout(240_000);

// Longer than a lease (5 s), a call's deadline (5 s) and our patience with a connection (3 s).
const DOWN_MS = 7_000;

const suite = skipSuiteUnless(
  productTarget() === 'services' && canRestartServers(),
  'outages of PostgreSQL, NATS, Redis and S3',
  'it needs separate services on servers that it may end (npm run e2e:services)',
);

suite('while people read and publish, what is refused can be repeated, nothing is lost, and all recovers', () => {
  let outages: Outages;

  beforeAll(async () => {
    outages = await Outages.start();
  });
  afterAll(async () => {
    await outages?.stop();
  });

  it.each(SERVERS)('when %s is killed, and refuses connections for seven seconds', async (kind) => {
    await outages.survive(kind, { signal: 'SIGKILL', downMs: DOWN_MS });
  });

  it('and there is nothing to mend', async () => {
    await outages.expectSound();
  });
});
