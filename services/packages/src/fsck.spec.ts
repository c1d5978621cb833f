import { jest } from '@jest/globals';
import { floorKey } from '@vivarium/blobs/keys';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(60_000);

function conda(channel: string, name: string, version = '1.0'): Sent {
  const built = aCondaPackage({ name, version });
  const basename = `${built.subdir}/${built.filename}`;
  return { channel, package: name, version, basename, kind: 'conda', bytes: built.bytes };
}

function wheel(channel: string, name: string): Sent {
  const { filename, bytes } = aWheel({ name, version: '1.0' });
  return { channel, package: name, version: '1.0', basename: filename, kind: 'pypi', bytes };
}

let running: RunningPackages;
let counter = 0;
beforeAll(async () => {
  running = await RunningPackages.start();
});
afterAll(() => running.stop());

const sql = (text: string, ...values: unknown[]) => running.pool.query(text, values);

/** A channel of its own with a conda package and a private wheel. */
async function aChannel(): Promise<{ readonly caller: Caller; readonly login: string; readonly channelId: string }> {
  const login = `owner${counter++}`;
  const caller = running.user(login);
  await running.upload(caller, conda(login, `${login}-tool`));
  await running.upload(caller, wheel(login, `${login}-lib`));
  await (await running.packages(caller)).update({ channel: login, name: `${login}-lib`, visibility: 'private' });
  return { caller, login, channelId: `id-${login}` };
}

async function objectOf(login: string, column: 'sha256' | 'metadata_sha256', kind: string): Promise<string> {
  const { rows } = await sql(
    `SELECT b.object_key AS key FROM files f JOIN blobs b ON b.sha256 = f.${column} WHERE f.channel_id = $1 AND f.kind = $2`,
    `id-${login}`,
    kind,
  );
  return String(rows[0]?.key);
}

describe('a check of files and blobs', () => {
  it('finds nothing in a healthy store', async () => {
    const { channelId } = await aChannel();
    expect(await running.differences([channelId])).toEqual([]);
  });

  it.each<[string, RegExp, (login: string) => Promise<unknown>]>([
    [
      'missing bytes',
      /^the object blobs\/.* of the blob \w{64} is missing \(of owner\d+\/noarch\/owner\d+-tool-1.0-0.conda\)$/,
      async (login) => running.blobs.delete(await objectOf(login, 'sha256', 'conda')),
    ],
    [
      'a wheel without the metadata beside it',
      /^the object blobs\/.* is missing \(of owner\d+\/owner\d+_lib-1.0-py3-none-any.whl\)$/,
      async (login) => running.blobs.delete(await objectOf(login, 'metadata_sha256', 'pypi')),
    ],
    [
      'bytes that were cut off',
      /^the object blobs\/.* has 4 bytes, and the row of its blob says \d+ \(of owner/,
      async (login) => running.blobs.put(await objectOf(login, 'sha256', 'conda'), Buffer.from('half')),
    ],
  ])('finds %s, which it cannot mend', async (_, says, damage) => {
    const { channelId, login } = await aChannel();
    await damage(login);
    const found = await running.differences([channelId], { bytes: false });
    // Once among all blobs, once among the channel's files.
    expect(found).toEqual([expect.stringMatching(says), expect.stringMatching(says)]);
    expect(await running.differences([channelId], { bytes: false, repair: true })).toEqual(found);
    await sql('DELETE FROM files WHERE channel_id = $1', channelId);
    await sql(
      'DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM files f WHERE blobs.sha256 IN (f.sha256, f.metadata_sha256))',
    );
  });

  it('finds wrong bytes of the right length, if it is asked to read them', async () => {
    const { channelId, login } = await aChannel();
    const key = await objectOf(login, 'sha256', 'conda');
    const bytes = await (await running.blobs.get(key)).bytes(10e6);
    const spoilt = Buffer.from(bytes);
    spoilt[9] = (spoilt[9] ?? 0) ^ 1;
    await running.blobs.put(key, spoilt);
    expect(await running.differences([channelId], { bytes: false })).toEqual([]);
    expect((await running.differences([channelId]))[0]).toMatch(
      /^the object .* has the SHA-256 \w{64} instead of \w{64}/,
    );
    await running.blobs.put(key, bytes);
    expect(await running.differences([channelId])).toEqual([]);
  });

  it.each<[string, RegExp, string]>([
    ['a size', /^noarch\/.*-tool-1.0-0.conda has 7 bytes, and its blob \d+$/, 'size_bytes = 7'],
    [
      'a digest in the index',
      /-tool-1.0-0.conda has the SHA-256 \w{64}, and its line in the index says 0$/,
      `record = '{"sha256":"0"}'`,
    ],
    [
      'a line in the index',
      /-tool-1.0-0.conda has the SHA-256 \w{64}, and its line in the index says nothing$/,
      'record = NULL',
    ],
  ])('finds a file whose row has the wrong value: %s', async (_, says, change) => {
    const { channelId } = await aChannel();
    await sql(`UPDATE files SET ${change} WHERE channel_id = $1 AND kind = 'conda'`, channelId);
    expect(await running.differences([channelId])).toEqual([expect.stringMatching(says)]);
  });

  it('finds a package that is shown to others than its grants say', async () => {
    const { channelId } = await aChannel();
    await sql(
      `UPDATE packages SET audience_id = 'public', audience = (SELECT audience FROM packages WHERE channel_id = $1 AND visibility = 'public')
       WHERE channel_id = $1 AND visibility = 'private'`,
      channelId,
    );
    expect(await running.differences([channelId])).toEqual([
      expect.stringMatching(
        /^the package owner\d+-lib is private with 0 grants, which is the audience a-\w+, and is shown to public$/,
      ),
    ]);
  });

  it.each([
    ['lost', (key: string) => running.blobs.delete(key)],
    ['too low', (key: string) => running.blobs.put(key, Buffer.from('{"floor":1}'))],
    ['unreadable', (key: string) => running.blobs.put(key, Buffer.from('floor'))],
  ])('finds a floor that is %s, and writes it again', async (_, damage) => {
    const { channelId } = await aChannel();
    await damage(floorKey(channelId));
    const says = [expect.stringMatching(/^the floor [01] in the blob store is below the channel's, 3$/)];
    expect(await running.differences([channelId])).toEqual(says);
    expect(await running.differences([channelId], { repair: true })).toEqual(says);
    expect(await running.differences([channelId])).toEqual([]);
    const stored = await (await running.blobs.get(floorKey(channelId))).bytes(100);
    expect(JSON.parse(stored.toString())).toEqual({ floor: 3 });
  });

  it('finds a package that indexes would not be told of, and tells them', async () => {
    const { channelId, login } = await aChannel();
    await sql("DELETE FROM changes WHERE channel_id = $1 AND kind = 'pypi'", channelId);
    const says = [`the pypi package ${login}-lib has files, and indexes are not told of it`];
    expect(await running.differences([channelId])).toEqual(says);
    expect(await running.differences([channelId], { repair: true })).toEqual(says);
    expect(await running.differences([channelId])).toEqual([]);
    const changes = await (await running.feed('pypi-index')).changes({ channelId, kind: 'pypi', afterGeneration: 3n });
    expect(changes).toMatchObject({ generation: 4n, names: [`${login}-lib`] });
  });

  it('finds nothing while files are uploaded, removed, hidden and shown', async () => {
    const { caller, login, channelId } = await aChannel();
    const { pool } = running;
    let isDone = false;
    let changes = 0;
    const changing = (async () => {
      for (; !isDone; changes++) {
        const sent = conda(login, 'busy', `1.${changes}`);
        await running.upload(caller, sent);
        const visibility = changes % 2 === 0 ? 'private' : 'public';
        await (await running.packages(caller)).update({ channel: login, name: 'busy', visibility });
        if (changes % 3 === 0) await (await running.files(caller)).delete(sent);
        await pool.query("UPDATE files SET removed_at = removed_at - interval '8 days' WHERE channel_id = $1", [
          channelId,
        ]);
        await (await running.upkeep()).sweep({ graceMs: 0n });
      }
    })();
    for (let round = 0; round < 20 || changes < 8; round++) expect(await running.differences([channelId])).toEqual([]);
    isDone = true;
    await changing;
    expect(changes).toBeGreaterThan(3);
  });

  it('asks for a channel that there is, and for nobody but those who operate the installation', async () => {
    await expect(running.differences(['id-nobody'])).rejects.toMatchObject({ code: 'not_found' });
    for (const service of ['gateway', 'conda-index']) {
      await expect((await running.upkeep(service)).check({})).rejects.toMatchObject({ code: 'forbidden' });
    }
  });
});
