import { jest } from '@jest/globals';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage, anSdist, aWheel } from '@vivarium/testkit/builders';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(60_000);

function conda(channel: string, name: string, spec: Partial<Parameters<typeof aCondaPackage>[0]> = {}): Sent {
  const built = aCondaPackage({ name, version: '1.0', ...spec });
  const basename = `${built.subdir}/${built.filename}`;
  return { channel, package: name, version: spec.version ?? '1.0', basename, kind: 'conda', bytes: built.bytes };
}

function wheel(channel: string, name: string, spec: Partial<Parameters<typeof aWheel>[0]> = {}): Sent {
  const { filename, bytes } = aWheel({ name, version: '1.0', ...spec });
  return { channel, package: name, version: spec.version ?? '1.0', basename: filename, kind: 'pypi', bytes };
}

describe('an upload', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bob: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    ann = running.user('ann');
    bob = running.user('bob');
  });
  afterAll(() => running.stop());

  it('enters a conda package, and can be found, fetched and read by indexers', async () => {
    const sent = conda('ann', 'zlib', { subdir: 'linux-64', runExports: { weak: ['zlib >=1'] } });
    const answer = await running.upload(ann, { ...sent, labels: ['Dev'] });
    expect(answer).toMatchObject({ created: true, readable: true, generation: 1n });
    expect(answer.file).toMatchObject({ basename: sent.basename, labels: ['dev'], kind: 'conda', version: '1.0' });
    expect(answer.package).toMatchObject({
      name: 'zlib',
      visibility: 'public',
      kinds: ['conda'],
      versions: ['1.0'],
      latestVersion: '1.0',
      platforms: { 'linux-64': '1.0' },
      summary: 'zlib, made for a test',
    });

    const gateway = await running.gateway();
    const at = { channelId: 'id-ann', label: 'dev', kind: 'conda', basename: sent.basename };
    const found = await gateway.files.at(at);
    expect(found).toMatchObject({ found: true, name: 'zlib', versions: [{ version: 1n }] });
    const body = await running.blobs.get(found.blobKey);
    expect(Buffer.compare(await body.bytes(1e6), sent.bytes)).toBe(0);
    expect((await gateway.files.at({ ...at, label: 'main' })).found).toBe(false);

    const feed = await running.feed();
    expect(await feed.changes({ channelId: 'id-ann', kind: 'conda' })).toMatchObject({
      generation: 1n,
      names: ['zlib'],
    });
    const { records } = await feed.records({ channelId: 'id-ann', kind: 'conda', names: ['zlib'] });
    expect(records).toMatchObject([{ name: 'zlib', subdir: 'linux-64', labels: ['dev'], version: '1.0' }]);
    expect(JSON.parse(records[0]?.recordJson ?? '')).toMatchObject({
      name: 'zlib',
      run_exports: { weak: ['zlib >=1'] },
    });
  });

  it('enters a wheel with its metadata beside it, and a source distribution', async () => {
    const sent = wheel('ann', 'My.Demo', { requiresPython: '>=3.9' });
    const { package: made, file } = await running.upload(ann, sent);
    expect(made).toMatchObject({ name: 'my.demo', kinds: ['pypi'] });
    const { files } = await running.gateway();
    const at = {
      channelId: 'id-ann',
      label: 'main',
      kind: 'pypi',
      basename: sent.basename,
      sha256: file?.sha256 ?? '',
    };
    expect(await files.at(at)).toMatchObject({ found: true, name: 'my-demo' });
    const metadata = await files.at({ ...at, metadata: true });
    const text = (await (await running.blobs.get(metadata.blobKey)).bytes(1e5)).toString();
    expect(text).toContain('Requires-Python: >=3.9');
    expect((await files.at({ ...at, sha256: '0'.repeat(64) })).found).toBe(false);

    const source = anSdist({ name: 'My.Demo', version: '1.0' });
    const submitted = await running.submit(ann, 'ann', source);
    expect(submitted.package?.id).toBe(made?.id);
    expect((await files.at({ ...at, basename: source.filename, sha256: '', metadata: true })).found).toBe(false);
    const feed = await running.feed('pypi-index');
    const { records } = await feed.records({ channelId: 'id-ann', kind: 'pypi', names: ['my-demo'] });
    expect(records.map(({ filename }) => filename)).toEqual([sent.basename, source.filename]);
    expect(JSON.parse(records[0]?.recordJson ?? '')).toMatchObject({
      requiresPython: '>=3.9',
      metadataSha256: metadata.sha256,
    });
  });
});
