import { Feed as FeedContract } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { LocalExchange } from '@vivarium/rpc/local';
import { serve } from '@vivarium/rpc/rpc';
import { ToldFeed, type ToldPackage } from './feed.fixture.js';
import { Feed, UnknownChannel } from './feed.js';

describe('the feed', () => {
  async function open() {
    const bus = new LocalExchange().connect({ error: console.error });
    const told = new ToldFeed();
    await serve(FeedContract, told, bus, { error: console.error });
    const trust = { assertionFor: async (audience: string) => `for ${audience}` };
    return { told, feed: new Feed({ bus, trust, kind: 'conda' }) };
  }

  async function read(feed: Feed, after = 0) {
    const seen = new Map<string, readonly string[]>();
    const generation = await feed.readChanges('acme', after, async (names, records) => {
      for (const name of names) {
        seen.set(
          name,
          records.filter((each) => each.name === name).map(({ filename }) => filename),
        );
      }
    });
    return { seen, generation };
  }

  it('gives every changed name with all its files, over all pages', async () => {
    const { told, feed } = await open();
    for (let i = 0; i < 450; i++) told.set('acme', `p${i}`, aPackage(`p${i}`, 1 + (i % 17)));
    const { seen, generation } = await read(feed);
    expect(generation).toBe(450);
    expect(seen.size).toBe(450);
    for (let i = 0; i < 450; i++) expect(seen.get(`p${i}`)).toHaveLength(1 + (i % 17));
  });

  it('gives what changed after a generation only, and names that are gone without files', async () => {
    const { told, feed } = await open();
    told.set('acme', 'old', aPackage('old', 1));
    told.set('acme', 'gone', aPackage('gone', 1));
    told.set('acme', 'gone', undefined);
    expect(await read(feed, 1)).toEqual({ generation: 3, seen: new Map([['gone', []]]) });
    expect(await read(feed, 3)).toEqual({ generation: 3, seen: new Map() });
  });

  it('gives one state of a channel that changes while it is read', async () => {
    const { told, feed } = await open();
    for (let i = 0; i < 30; i++) told.set('acme', `p${i}`, aPackage(`p${i}`, 3));
    let changes = 0;
    told.beforeRecords = () => {
      if (++changes > 20) return;
      told.set('acme', `p${changes % 5}`, changes % 3 === 0 ? undefined : aPackage('x', changes));
    };
    const { seen, generation } = await read(feed);
    expect(generation).toBe(50);
    for (const [name, filenames] of seen) {
      expect(filenames).toEqual((told.packagesOf('acme').get(name)?.files ?? []).map(({ filename }) => filename));
    }
    expect(seen.size).toBe(30);
  });

  it('tells a channel that is not there from anything else that may be missing', async () => {
    const { told, feed } = await open();
    told.unknown.add('acme');
    await expect(read(feed)).rejects.toBeInstanceOf(UnknownChannel);
    await expect(read(feed)).rejects.toMatchObject({ code: 'not_found', message: expect.stringContaining('acme') });
  });

  it('ends with a fault when a channel never stands still', async () => {
    const { told, feed } = await open();
    told.set('acme', 'a', aPackage('a', 1));
    told.beforeRecords = () => void told.set('acme', 'a', aPackage('a', 1));
    await expect(read(feed)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

function aPackage(name: string, files: number): ToldPackage {
  return {
    packageId: `id-${name}`,
    audience: { id: 'public', visibility: 'public', principals: [] },
    files: Array.from({ length: files }, (_, i) => ({
      subdir: 'noarch',
      filename: `${name}-${i}-0.conda`,
      labels: ['main'],
      version: `${i}`,
      recordJson: '{}',
    })),
  };
}
