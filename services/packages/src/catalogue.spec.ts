import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { type Caller, RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { inVersionOrder } from './messages.js';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(60_000);

function conda(name: string, version = '1.0', subdir = 'noarch', depends: readonly string[] = []): Sent {
  const built = aCondaPackage({ name, version, subdir, depends });
  const basename = `${subdir}/${built.filename}`;
  return { channel: 'ann', package: name, version, basename, kind: 'conda', bytes: built.bytes };
}

function wheel(name: string, version = '1.0'): Sent {
  const { filename, bytes } = aWheel({ name, version });
  return { channel: 'ann', package: name, version, basename: filename, kind: 'pypi', bytes };
}

describe('the catalogue', () => {
  let running: RunningPackages;
  let ann: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    ann = running.user('ann');
  });
  afterAll(() => running.stop());

  const at = async (basename: string, label = 'main', kind = 'conda') =>
    (await running.gateway()).files.at({ channelId: 'id-ann', label, kind, basename });

  it('has a channel as soon as there is an account, and none without', async () => {
    running.user('fresh');
    const { channels } = await running.gateway();
    const both = await Promise.all([channels.find({ login: 'fresh' }), channels.find({ login: 'fresh' })]);
    expect(both[0]).toEqual(both[1]);
    expect(both[0]).toMatchObject({
      channel: {
        id: 'id-fresh',
        login: 'fresh',
        defaultVisibility: 'public',
        generation: 0n,
        floor: 0n,
        audiences: [],
      },
      versions: [{ tag: 'channel:id-fresh', version: 0n }],
    });
    await expect(channels.find({ login: 'nobody' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(channels.find({ login: 'Fresh' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('names the audiences that a channel has now, each once', async () => {
    const packages = await running.packages(ann);
    for (const [name, visibility] of [
      ['p1', 'private'],
      ['p2', 'private'],
      ['p3', 'authenticated'],
      ['p4', 'public'],
    ]) {
      await packages.create({ channel: 'ann', name: name ?? '', visibility: visibility ?? '' });
    }
    const { channels } = await running.gateway();
    const audiences = async () => {
      const { channel } = await channels.find({ login: 'ann' });
      return channel?.audiences.map(({ visibility }) => visibility).sort();
    };
    expect(await audiences()).toEqual(['authenticated', 'private', 'public']);
    await packages.delete({ channel: 'ann', name: 'p3' });
    expect(await audiences()).toEqual(['private', 'public']);
  });

  it('creates a package once, and then gives it as it is', async () => {
    const packages = await running.packages(ann);
    const attributesJson = JSON.stringify({ summary: 'A tool', license: { name: 'MIT' } });
    const made = await packages.create({ channel: 'ann', name: 'Tool', visibility: 'private', attributesJson });
    expect(made).toMatchObject({ created: true, package: { name: 'tool', visibility: 'private', summary: 'A tool' } });
    const again = await packages.create({ channel: 'ann', name: 'tool', visibility: 'public' });
    expect(again).toEqual({ ...made, created: false });
    await expect(packages.create({ channel: 'ann', name: '../x' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(packages.create({ channel: 'ann', name: 'x', visibility: 'open' })).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(packages.create({ channel: 'ann', name: 'x', attributesJson: '[]' })).rejects.toMatchObject({
      code: 'invalid',
    });
  });

  it('keeps what publishers say of packages and releases', async () => {
    const [packages, releases] = [await running.packages(ann), await running.releases(ann)];
    await packages.update({
      channel: 'ann',
      name: 'tool',
      attributesJson: '{"home":"https://example.com","summary":"Better"}',
    });
    const { package: found } = await packages.find({ channel: 'ann', name: 'TOOL' });
    expect(found?.summary).toBe('Better');
    expect(JSON.parse(found?.attributesJson ?? '')).toMatchObject({
      license: { name: 'MIT' },
      home: 'https://example.com',
    });
    const release = { channel: 'ann', package: 'tool', version: '0.1' };
    const made = await releases.create({ ...release, attributesJson: '{"announce":null}' });
    expect((await releases.create(release)).release?.id).toBe(made.release?.id);
    await releases.update({ ...release, attributesJson: '{"requirements":[]}' });
    const { release: read } = await releases.find(release);
    expect(JSON.parse(read?.attributesJson ?? '')).toEqual({ announce: null, requirements: [] });
    await expect(releases.find({ ...release, version: '0.2' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('lists versions in their order, and the newest of each platform', async () => {
    for (const [version, subdir] of [
      ['1.10', 'linux-64'],
      ['1.9', 'linux-64'],
      ['1.2', 'osx-arm64'],
    ]) {
      await running.upload(ann, conda('ordered', version, subdir));
    }
    const packages = await running.packages(ann);
    const { package: found } = await packages.find({ channel: 'ann', name: 'ordered', withFiles: true });
    expect(found).toMatchObject({
      versions: ['1.2', '1.9', '1.10'],
      latestVersion: '1.10',
      platforms: { 'linux-64': '1.10', 'osx-arm64': '1.2' },
    });
    expect(found?.files.map(({ version }) => version)).toEqual(['1.10', '1.9', '1.2']);
    const after = found?.files[1]?.id ?? '';
    const page = await packages.find({ channel: 'ann', name: 'ordered', withFiles: true, afterFile: after });
    expect(page.package?.files.map(({ version }) => version)).toEqual(['1.2']);
    expect(inVersionOrder(['1.0', '1.0.dev1', '1.0rc1'], ['pypi'])).toEqual(['1.0.dev1', '1.0rc1', '1.0']);
    expect(inVersionOrder(['v 10', 'v 9'], ['file'])).toEqual(['v 9', 'v 10']);
  });

  it('lists packages by name, page by page', async () => {
    const packages = await running.packages(ann);
    const first = await packages.list({ channel: 'ann', limit: 2 });
    expect([first.packages.length, first.more]).toEqual([2, true]);
    const names: string[] = [];
    for (let after = '', more = true; more; ) {
      const page = await packages.list({ channel: 'ann', after, limit: 2 });
      names.push(...page.packages.map(({ name }) => name));
      ({ more } = page);
      after = names.at(-1) ?? '';
    }
    expect(names).toEqual([...names].sort());
    expect(names).toEqual(expect.arrayContaining(['ordered', 'p1', 'tool']));
    const stranger = await (await running.packages(undefined)).list({ channel: 'ann' });
    expect(stranger.packages.every(({ visibility }) => visibility === 'public')).toBe(true);
  });

  it('frees the name of a deleted file at once, and still answers at its address until the name is retaken', async () => {
    const sent = conda('forced');
    const first = await running.upload(ann, sent);
    const files = await running.files(ann);
    const path = { channel: 'ann', package: 'forced', version: '1.0', basename: sent.basename };
    const { file } = await files.delete(path);
    expect(file?.sha256).toBe(first.file?.sha256);
    await expect(files.find(path)).rejects.toMatchObject({ code: 'not_found' });
    expect(await at(sent.basename)).toMatchObject({ found: true, sha256: first.file?.sha256 });
    // The release and the package stay, for a client that is about to upload into them.
    const packages = await running.packages(ann);
    expect((await packages.find({ channel: 'ann', name: 'forced' })).package?.versions).toEqual(['1.0']);
    const feed = await running.feed();
    expect((await feed.records({ channelId: 'id-ann', kind: 'conda', names: ['forced'] })).records).toEqual([]);

    const second = await running.upload(ann, { ...conda('forced', '1.0', 'noarch', ['python']), labels: ['dev'] });
    expect(second.created).toBe(true);
    expect(second.package?.id).toBe(first.package?.id);
    expect(await at(sent.basename, 'dev')).toMatchObject({ found: true, sha256: second.file?.sha256 });
    // Whoever has the name has the address, under every label.
    expect((await at(sent.basename)).found).toBe(false);
    await running.pool.query("UPDATE files SET removed_at = now() - interval '8 days' WHERE basename = $1", [
      sent.basename,
    ]);
    expect((await at(sent.basename, 'dev')).found).toBe(false);
  });

  it('begins anew with a package that is made again after it was deleted', async () => {
    const sent = conda('phoenix');
    const first = await running.upload(ann, sent);
    await running.pool.query("INSERT INTO grants VALUES ($1, 'user', 'id-friend', 'read')", [first.package?.id]);
    const packages = await running.packages(ann);
    await packages.delete({ channel: 'ann', name: 'phoenix' });
    await expect(packages.find({ channel: 'ann', name: 'phoenix' })).rejects.toMatchObject({ code: 'not_found' });
    const feed = await running.feed();
    expect((await feed.audienceOf({ packageId: first.package?.id ?? '' })).found).toBe(true);
    expect((await feed.records({ channelId: 'id-ann', kind: 'conda', names: ['phoenix'] })).records).toEqual([]);
    const second = await running.upload(ann, sent);
    expect(second).toMatchObject({ created: true });
    expect(second.package?.id).not.toBe(first.package?.id);
    const { rows } = await running.pool.query('SELECT 1 FROM grants WHERE package_id = $1', [second.package?.id]);
    expect(rows).toEqual([]);
    expect((await feed.audienceOf({ packageId: 'none' })).found).toBe(false);
  });

  it('deletes a release with its files, unless a label of theirs is locked', async () => {
    await running.upload(ann, { ...conda('lockable'), labels: ['stable'] });
    await running.pool.query("UPDATE labels SET locked = true WHERE name = 'stable'");
    const [packages, releases, files] = [
      await running.packages(ann),
      await running.releases(ann),
      await running.files(ann),
    ];
    const release = { channel: 'ann', package: 'lockable', version: '1.0' };
    const refusal = { code: 'forbidden', message: expect.stringContaining('stable') };
    await expect(releases.delete(release)).rejects.toMatchObject(refusal);
    await expect(packages.delete({ channel: 'ann', name: 'lockable' })).rejects.toMatchObject(refusal);
    const path = { ...release, basename: 'noarch/lockable-1.0-0.conda' };
    await expect(files.delete(path)).rejects.toMatchObject(refusal);
    await running.pool.query("UPDATE labels SET locked = false WHERE name = 'stable'");
    await releases.delete(release);
    await expect(releases.find(release)).rejects.toMatchObject({ code: 'not_found' });
    expect((await packages.find({ channel: 'ann', name: 'lockable' })).package?.versions).toEqual([]);
  });

  it('keeps a release of which a token that is limited may not take every file away', async () => {
    await running.upload(ann, { ...conda('parted', '1.0', 'linux-64'), labels: ['dev'] });
    await running.upload(ann, { ...conda('parted', '1.0', 'osx-64'), labels: ['dev', 'main'] });
    const release = { channel: 'ann', package: 'parted', version: '1.0' };
    const limited = [
      running.token(ann, 'of dev', { restrictions: create(RestrictionsSchema, { labels: ['dev'] }) }),
      running.token(ann, 'of linux', { restrictions: create(RestrictionsSchema, { subdirs: ['linux-64'] }) }),
      running.token(ann, 'of Python', { scopes: ['pypi:upload', 'api:read'] }),
    ];
    for (const token of limited) {
      await expect((await running.releases(token)).delete(release)).rejects.toMatchObject({ code: 'forbidden' });
    }
    const { release: kept } = await (await running.releases(ann)).find(release);
    expect(kept?.files).toHaveLength(2);
    const both = create(RestrictionsSchema, { labels: ['dev', 'main'], subdirs: ['linux-64', 'osx-64'] });
    await (await running.releases(running.token(ann, 'of both', { restrictions: both }))).delete(release);
    await expect((await running.releases(ann)).find(release)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('lets whoever may upload take back an empty package, as clients do after an upload that failed', async () => {
    const token = running.token(ann, 'uploader', { scopes: ['conda:upload'] });
    const packages = await running.packages(token);
    await packages.create({ channel: 'ann', name: 'empty' });
    await (await running.releases(token)).create({ channel: 'ann', package: 'empty', version: '1.0' });
    await packages.delete({ channel: 'ann', name: 'empty' });
    await running.upload(token, conda('full'));
    await expect((await running.packages(token)).delete({ channel: 'ann', name: 'full' })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('api:write'),
    });
  });

  it('puts a wheel into the release that its client made under another spelling of the version', async () => {
    await (await running.packages(ann)).create({ channel: 'ann', name: 'spelled' });
    const release = { channel: 'ann', package: 'spelled', version: '1.0-RC1' };
    await (await running.releases(ann)).create(release);
    const { filename, bytes } = aWheel({ name: 'spelled', version: '1.0rc1' });
    const answer = await running.upload(ann, { ...release, basename: filename, kind: 'pypi', bytes });
    expect(answer).toMatchObject({ file: { version: '1.0-RC1' }, package: { versions: ['1.0-RC1'] } });
    const found = await (await running.files(ann)).find({ ...release, version: '1.0rc1', basename: filename });
    expect(found.file?.id).toBe(answer.file?.id);
    await running.upload(ann, conda('spelled', '1.0rc1'));
    const both = await (await running.packages(ann)).find({ channel: 'ann', name: 'spelled' });
    expect(both.package?.versions).toHaveLength(2);
  });

  it('stores a file of a kind without an index, whose name is taken in its release only', async () => {
    const sent = { channel: 'ann', package: 'data', kind: 'file', basename: 'data.csv', bytes: Buffer.from('a,b') };
    const first = await running.upload(ann, { ...sent, version: '1' });
    const second = await running.upload(ann, { ...sent, version: '2', bytes: Buffer.from('c,d') });
    expect([first.readable, second.created]).toEqual([true, true]);
    const files = await running.files(ann);
    const found = await files.find({
      channel: 'ann',
      package: 'data',
      version: '2',
      basename: 'data.csv',
      bytes: true,
    });
    expect((await (await running.blobs.get(found.blobKey)).bytes(10)).toString()).toBe('c,d');
    await expect(running.send(ann, { ...sent, version: '2' })).rejects.toMatchObject({ code: 'conflict' });
  });

  it('feeds the names that changed after a generation, and channels that changed since a time', async () => {
    const feed = await running.feed();
    const { generation } = await feed.changes({ channelId: 'id-ann', kind: 'pypi' });
    await running.upload(ann, wheel('News_One'));
    await running.upload(ann, wheel('news-two'));
    await running.upload(ann, conda('conda-news'));
    const changes = await feed.changes({ channelId: 'id-ann', kind: 'pypi', afterGeneration: generation });
    expect(changes).toMatchObject({ generation: generation + 3n, names: ['news-one', 'news-two'], more: false });
    const nothing = await feed.changes({ channelId: 'id-ann', kind: 'pypi', afterGeneration: changes.generation });
    expect(nothing).toMatchObject({ generation: changes.generation, names: [] });
    const all = await feed.channels({ sinceMs: 0n });
    expect(all.channels).toEqual(
      expect.arrayContaining([expect.objectContaining({ login: 'ann', generation: changes.generation })]),
    );
    expect((await feed.channels({ sinceMs: all.nowMs + 120_000n })).channels).toEqual([]);
    await expect(feed.changes({ channelId: 'none', kind: 'pypi' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('feeds records page by page, none twice and none missing', async () => {
    await running.upload(ann, conda('big'));
    // As many copies as fill several messages.
    await running.pool.query(`INSERT INTO files (id, channel_id, package_id, release_id, kind, basename, sha256, md5, size_bytes, record, uploaded_by)
      SELECT lpad(n::text, 32, 'f'), channel_id, package_id, release_id, kind, 'noarch/big-' || n || '-0.conda', sha256, md5, size_bytes,
        json_build_object('filler', repeat('x', 2000)), uploaded_by FROM files, generate_series(1, 1200) n WHERE basename = 'noarch/big-1.0-0.conda'`);
    const feed = await running.feed();
    const names: string[] = [];
    let pages = 0;
    for (let after = '', more = true; more; pages += 1) {
      const page = await feed.records({ channelId: 'id-ann', kind: 'conda', names: ['big', 'conda-news'], after });
      names.push(...page.records.map(({ filename }) => filename));
      ({ next: after, more } = page);
    }
    expect(pages).toBeGreaterThan(3);
    expect(names).toHaveLength(1202);
    expect(new Set(names).size).toBe(1202);
  });
});
