import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { productTarget } from '@vivarium/testkit/product';
import { seedOfRun } from './storm-choice.js';
import { Storm } from './storm-scene.js';
import { hasNats } from './two-gateways.js';

jest.setTimeout(420_000);

const suite = skipSuiteUnless(
  productTarget() === 'services' && hasNats,
  'a storm of uploads and kills at two gateways',
  'it needs nats-server and separate services (npm run e2e:services)',
);

suite('fifty uploads at once at two gateways, while processes are killed', () => {
  let storm: Storm;

  beforeAll(async () => {
    storm = await Storm.start(seedOfRun());
  });
  afterAll(async () => {
    await storm?.stop();
  });

  it('are seen by everybody as if they had come one after the other', async () => {
    await storm.rage(2, 6);
    process.stderr.write(`storm: ${storm.summary()}\n`);
    expect(storm.wrong()).toEqual([]);
  });

  it('are all in every format afterwards, and there is nothing to mend', async () => {
    await storm.expectWhole();
  });
});
