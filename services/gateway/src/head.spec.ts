import { Heads as CondaHeads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Heads as PypiHeads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { type Running, startGateway } from './gateway.fixture.js';

const FLOOR = 9n;
const INDEXES = [
  '/conda/alice/noarch/repodata.json',
  '/conda/alice/noarch/repodata.json.zst',
  '/conda/alice/noarch/repodata_shards.msgpack.zst',
  '/pypi/alice/simple/',
];

let gateway: Running;
/** At which the indexers show the channel. */
let generation: bigint;

beforeEach(async () => {
  gateway = await startGateway();
  const channel = { id: 'a1', login: 'alice', kind: 'user', defaultVisibility: 'public', incarnation: 'i' };
  gateway.others.teach(Channels, 'find', async () => ({ channel: { ...channel, generation: FLOOR, floor: FLOOR } }));
  gateway.others.teach(CondaHeads, 'find', async () => ({ manifestKey: '', generation }));
  gateway.others.teach(PypiHeads, 'find', async () => ({ manifestKey: '', generation }));
});
afterEach(() => gateway.stop());

const answers = () => Promise.all(INDEXES.map((path) => gateway.ask(path)));

describe('an index below the floor of its channel', () => {
  it('is not sent in any format: it shows what was hidden since', async () => {
    generation = FLOOR - 1n;
    const refused = (await answers()).map(({ status, headers }) => [status, headers['cache-control']]);
    expect(refused).toEqual(INDEXES.map(() => [503, 'no-store']));
  });

  it('is waited for, and sent as soon as it has reached the floor', async () => {
    generation = FLOOR - 1n;
    const sent = answers();
    setTimeout(() => {
      generation = FLOOR;
    }, 300);
    expect((await sent).map(({ status }) => status)).toEqual(INDEXES.map(() => 200));
  });
});
