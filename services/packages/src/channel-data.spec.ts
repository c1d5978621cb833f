import { jest } from '@jest/globals';
import { audienceOf } from '@vivarium/access/audience';
import { strangerView, type View } from '@vivarium/access/view';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { ChannelDataEntry } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import { ChannelData as Contract } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import { Downloads } from '@vivarium/contracts/gen/vivarium/packages/v1/downloads_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { aCondaPackage, type CondaPackageSpec } from '@vivarium/testkit/builders';
import { viewToProto } from '@vivarium/trust/messages';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(240_000);

const STRANGER = strangerView();
const OWNER: View = { everything: true, signedIn: true, principals: [] };
const OWNERS_ALONE = audienceOf({ visibility: 'private', grants: [] }).id;

let running: RunningPackages;
let ann: Caller;
const client = async () => (await running.gateway()).channelData;

beforeAll(async () => {
  running = await RunningPackages.start();
  ann = running.user('ann');
});
afterAll(() => running?.stop());

async function upload(spec: CondaPackageSpec, labels: readonly string[] = ['main']): Promise<void> {
  const { filename, bytes, subdir } = aCondaPackage(spec);
  const { name, version } = spec;
  await running.upload(ann, {
    channel: 'ann',
    package: name,
    version,
    basename: `${subdir}/${filename}`,
    kind: 'conda',
    bytes,
    labels,
  });
}

interface Part {
  readonly view?: View;
  readonly audiences?: readonly string[];
  readonly label?: string;
  readonly subdir?: string;
  readonly since?: bigint;
}

/** All pages. */
async function read(method: 'packages' | 'runExports', part: Part = {}) {
  const {
    view = OWNER,
    audiences = ['public', 'authenticated', OWNERS_ALONE],
    label = 'main',
    subdir = '',
    since = 0n,
  } = part;
  const entries: ChannelDataEntry[] = [];
  const changed = new Set<string>();
  let pages = 0;
  for (let after = ''; ; pages += 1) {
    // Made anew: an assertion holds for five seconds.
    const page = await (await client())[method](
      {
        channelId: 'id-ann',
        view: viewToProto(view),
        audienceIds: [...audiences],
        label,
        subdir,
        sinceGeneration: since,
        after,
      },
      { timeoutMs: 60_000 },
    );
    entries.push(...page.entries);
    for (const name of page.changed) changed.add(name);
    if (page.next === '') return { entries, changed: [...changed], pages: pages + 1, generation: page.generation };
    after = page.next;
  }
}
const namesOf = ({ entries }: { entries: readonly ChannelDataEntry[] }) => entries.map(({ name }) => name);

describe('what files of a whole channel are put together from', () => {
  let begun: bigint;

  beforeAll(async () => {
    await upload({ name: 'lamp', version: '1.9', subdir: 'linux-64', runExports: { weak: ['lamp >=1'] } });
    await upload({
      name: 'lamp',
      version: '1.10',
      subdir: 'osx-64',
      about: { summary: 'A lamp.', home: 'https://lamp.test', license_family: 'MIT' },
    });
    await upload({ name: 'bulb', version: '1.0' }, ['main', 'dev']);
    await upload({ name: 'secret', version: '3.0', runExports: { strong: ['secret'] } });
    await upload({ name: 'secret', version: '4.0', subdir: 'linux-64' });
    await running.pool.query(
      `UPDATE packages SET visibility = 'private', audience_id = $1, audience = $2 WHERE name = 'secret'`,
      [OWNERS_ALONE, JSON.stringify(audienceOf({ visibility: 'private', grants: [] }))],
    );
    begun = (await read('packages')).generation;
  });

  it('names the highest version, all subdirs, and what its newest artifact says of itself', async () => {
    const { entries } = await read('packages');
    const lamp = entries.find(({ name }) => name === 'lamp');
    expect(JSON.parse(lamp?.json ?? '')).toEqual({
      home: 'https://lamp.test',
      license: 'Apache-2.0',
      license_family: 'MIT',
      reference_package: 'osx-64/lamp-1.10-0.conda',
      run_exports: { '1.9': { weak: ['lamp >=1'] } },
      subdirs: ['linux-64', 'osx-64'],
      summary: 'A lamp.',
      timestamp: expect.any(Number),
      version: '1.10',
    });
    expect(lamp?.subdirs).toEqual(['linux-64', 'osx-64']);
  });

  it.each([
    ['an owner', {}, ['bulb', 'lamp', 'secret']],
    ['a stranger', { view: STRANGER, audiences: ['public'] }, ['bulb', 'lamp']],
    ['a stranger who says that he is in every audience', { view: STRANGER }, ['bulb', 'lamp']],
    ['an owner for those who belong to less', { audiences: ['public'] }, ['bulb', 'lamp']],
    ['another label', { label: 'dev' }, ['bulb']],
    ['a label that is none', { label: 'nothing' }, []],
    ['a token for some names', { view: { ...OWNER, globs: ['b*'] }, audiences: [OWNERS_ALONE] }, []],
  ] as const)('holds for %s what the view shows', async (_, part, names) => {
    expect(namesOf(await read('packages', part as Part))).toEqual(names);
  });

  it('tells a token for some subdirs nothing of the others, but for what is public', async () => {
    const secretOf = async (view: View) =>
      JSON.parse((await read('packages', { view })).entries.find(({ name }) => name === 'secret')?.json ?? '');
    expect(await secretOf(OWNER)).toMatchObject({ version: '4.0', subdirs: ['linux-64', 'noarch'] });
    expect(await secretOf({ ...OWNER, subdirs: ['win-64'] })).toMatchObject({ version: '3.0', subdirs: ['noarch'] });
    const view = { ...OWNER, subdirs: ['win-64'] };
    expect(namesOf(await read('runExports', { subdir: 'linux-64', view }))).toEqual(['lamp']);
  });

  it('gives the run exports of every artifact of a subdir, empty ones too', async () => {
    const { entries } = await read('runExports', { subdir: 'noarch' });
    expect(entries.map(({ filename, json }) => [filename, JSON.parse(json)])).toEqual([
      ['bulb-1.0-0.conda', { run_exports: {} }],
      ['secret-3.0-0.conda', { run_exports: { strong: ['secret'] } }],
    ]);
    expect(namesOf(await read('runExports', { subdir: 'noarch', view: STRANGER, audiences: ['public'] }))).toEqual([
      'bulb',
    ]);
    expect(namesOf(await read('runExports', { subdir: 'linux-64' }))).toEqual(['lamp', 'secret']);
    expect(namesOf(await read('runExports', { subdir: 'linux' }))).toEqual([]);
  });

  it('tells what changed since, also what has gone, and nothing else', async () => {
    await upload({ name: 'candle', version: '1.0' });
    await (await running.packages(ann)).delete({ channel: 'ann', name: 'bulb' });
    const since = await read('packages', { since: begun });
    expect([namesOf(since), since.changed]).toEqual([['candle'], ['bulb', 'candle']]);
    const exports = await read('runExports', { since: begun, subdir: 'noarch' });
    expect([namesOf(exports), exports.changed]).toEqual([['candle'], ['bulb', 'candle']]);
    expect(await read('packages', { since: since.generation })).toMatchObject({ entries: [], changed: [] });
  });

  it('is whole over many pages, of names and of the files of one name', async () => {
    await running.pool.query(
      `WITH made AS (
         INSERT INTO packages (id, channel_id, name, visibility, audience_id, audience)
         SELECT 'many-' || n, 'id-ann', 'many-' || lpad(n::text, 4, '0'), 'public', 'public', $1 FROM generate_series(1, 450) n
         RETURNING id, name),
       released AS (INSERT INTO releases (id, package_id, version, version_key) SELECT id, id, '1.0', '1.0' FROM made RETURNING id),
       held AS (
         INSERT INTO files (id, channel_id, package_id, release_id, kind, basename, sha256, md5, size_bytes, record, uploaded_by)
         SELECT made.id || '-' || lpad(n::text, 5, '0'), 'id-ann', made.id, released.id, 'conda', 'noarch/' || name || '-1.' || n || '-0.conda',
           (SELECT sha256 FROM blobs LIMIT 1), '', 1, json_build_object('version', '1.' || n, 'run_exports', json_build_object('weak', json_build_array('some text'))), ''
         FROM made JOIN released USING (id), generate_series(1, CASE name WHEN 'many-0007' THEN 6000 ELSE 3 END) n RETURNING id)
       INSERT INTO file_labels (file_id, channel_id, label) SELECT id, 'id-ann', 'main' FROM held`,
      [JSON.stringify(audienceOf({ visibility: 'public', grants: [] }))],
    );
    const all = await read('packages');
    expect(namesOf(all)).toEqual([
      'candle',
      'lamp',
      ...Array.from({ length: 450 }, (_, n) => `many-${String(n + 1).padStart(4, '0')}`),
      'secret',
    ]);
    expect(all.pages).toBeGreaterThan(3);
    expect(JSON.parse(all.entries.find(({ name }) => name === 'many-0007')?.json ?? '')).toMatchObject({
      version: '1.6000',
    });
    const exports = await read('runExports', { subdir: 'noarch' });
    const files = exports.entries.map(({ filename }) => filename);
    expect([files.length, new Set(files).size]).toEqual([449 * 3 + 6000 + 2, 449 * 3 + 6000 + 2]);
    await running.pool.query(
      `INSERT INTO changes SELECT 'id-ann', 'conda', name, 1000000 FROM packages WHERE name LIKE 'many-%'`,
    );
    const since = await read('runExports', { subdir: 'noarch', since: 999_999n });
    expect([since.entries.length, since.changed.length]).toEqual([449 * 3 + 6000, 450]);
    expect((await read('packages', { since: 999_999n })).entries).toHaveLength(450);
  });

  it('answers the gateway alone', async () => {
    for (const service of ['conda-index', 'platform']) {
      const assertion = await running.assertionOf(service);
      const other = clientOf(Contract, running.bus, { assertion });
      for (const method of ['packages', 'runExports'] as const) {
        await expect(other[method]({ channelId: 'id-ann' })).rejects.toMatchObject({ code: 'forbidden' });
      }
      await expect(clientOf(Downloads, running.bus, { assertion }).add({ files: [] })).rejects.toMatchObject({
        code: 'forbidden',
      });
    }
    await expect((await client()).packages({ channelId: 'nobody' })).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('downloads', () => {
  it('are added up, and those of files that have gone are passed over', async () => {
    const { downloads } = await running.gateway();
    const { rows } = await running.pool.query<{ id: string }>(
      "SELECT id FROM files WHERE basename LIKE '%/lamp-%' ORDER BY id",
    );
    const [one = { id: '' }, other = { id: '' }] = rows;
    const add = (counts: Readonly<Record<string, bigint>>) =>
      downloads.add({ files: Object.entries(counts).map(([fileId, count]) => ({ fileId, downloads: count })) });
    await Promise.all([
      add({ [one.id]: 2n, [other.id]: 1n, gone: 5n }),
      add({ [other.id]: 1n, [one.id]: 1n }),
      add({}),
    ]);
    const held = await running.pool.query('SELECT id, downloads FROM files WHERE downloads > 0 ORDER BY id');
    expect(held.rows).toEqual([
      { id: one.id, downloads: '3' },
      { id: other.id, downloads: '2' },
    ]);
  });
});
