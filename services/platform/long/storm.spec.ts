import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { seedOfRun } from '../e2e/storm-choice.js';
import { Storm } from '../e2e/storm-scene.js';
import { hasNats } from '../e2e/two-gateways.js';

jest.setTimeout(45 * 60_000);

const suite = skipSuiteUnless(
  hasNats,
  'a storm of uploads and kills at two gateways, at length',
  'nats-server is not installed (.ci/install.sh does)',
);

suite('fifty uploads at once at two gateways, ten times, while processes are killed', () => {
  let storm: Storm;

  beforeAll(async () => {
    storm = await Storm.start(seedOfRun());
  });
  afterAll(async () => {
    await storm?.stop();
  });

  it('are seen by everybody as if they had come one after the other', async () => {
    await storm.rage(10, 40);
    process.stderr.write(`storm: ${storm.summary()}\n`);
    expect(storm.wrong()).toEqual([]);
  });

  it('are all in every format afterwards, and there is nothing to mend', async () => {
    await storm.expectWhole();
  });
});
