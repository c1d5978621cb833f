import { composeFile, type Entries, mergedEntries } from './channel-entries.js';
import { turnsDuring } from './slices.fixture.js';

const CHANNELDATA = { kind: 'channeldata' } as const;
const NOTHING: Entries = new Map();

/** Entries of these names, each with this text. */
function entriesOf(names: readonly string[], json = '{}'): Entries {
  return new Map(names.map((name) => [name, [{ name, filename: `${name}-1-0.conda`, json, subdirs: ['noarch'] }]]));
}

const textOf = async (entries: Entries) => String((await composeFile(CHANNELDATA, entries)).bytes);

describe('the entries of a file of a whole channel', () => {
  it('are the same, whether they came at once or one after the other, in whatever order', async () => {
    const once = await mergedEntries(NOTHING, new Set(), entriesOf(['d', 'a', 'c', 'b']));
    let grown = NOTHING;
    for (const name of ['c', 'a', 'd', 'b']) grown = await mergedEntries(grown, new Set([name]), entriesOf([name]));
    expect([...once.keys()]).toEqual(['a', 'b', 'c', 'd']);
    expect(await composeFile(CHANNELDATA, grown)).toEqual(await composeFile(CHANNELDATA, once));
  });

  it('are without what went, and with what came in the place of what there was', async () => {
    const known = await mergedEntries(NOTHING, new Set(), entriesOf(['a', 'b', 'c']));
    const merged = await mergedEntries(known, new Set(['a', 'b', 'z']), entriesOf(['b', 'z'], '{"version":"2"}'));
    expect(JSON.parse(await textOf(merged)).packages).toEqual({ b: { version: '2' }, c: {}, z: { version: '2' } });
    expect([...merged.keys()]).toEqual(['b', 'c', 'z']);
  });

  it('have run exports in one order, whichever file of a name came first', async () => {
    const file = { kind: 'run-exports', subdir: 'noarch' } as const;
    const [one, two] = ['a-1-0.conda', 'a-2-0.tar.bz2'].map((filename) => ({
      ...{ name: 'a', filename, json: '{"run_exports":{}}', subdirs: [] },
    }));
    if (one === undefined || two === undefined) throw new Error('two were made');
    const [there, back] = [
      await composeFile(file, new Map([['a', [one, two]]])),
      await composeFile(file, new Map([['a', [two, one]]])),
    ];
    expect(there).toEqual(back);
    expect(JSON.parse(String(there.bytes))).toMatchObject({
      packages: { 'a-2-0.tar.bz2': {} },
      'packages.conda': { 'a-1-0.conda': {} },
    });
  });

  it('are put together while others are served, however many they are', async () => {
    const names = Array.from({ length: 100_000 }, (_, at) => `name-${String(at).padStart(6, '0')}`);
    const came = entriesOf(names, JSON.stringify({ summary: 'x'.repeat(300) }));
    let known = NOTHING;
    const turns = await turnsDuring(async () => {
      known = await mergedEntries(NOTHING, new Set(), came);
      await composeFile(CHANNELDATA, known);
      await mergedEntries(known, new Set(['name-000007']), entriesOf(['name-000007']));
    });
    expect(known.size).toBe(100_000);
    // Each time is five milliseconds of hundreds.
    expect(turns).toBeGreaterThan(10);
  });
});
