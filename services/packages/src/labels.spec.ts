import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { type Caller, RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Mode } from '@vivarium/contracts/gen/vivarium/packages/v1/copies_pb';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(60_000);

function conda(channel: string, name: string, version = '1.0', labels: readonly string[] = [], build = '0'): Sent {
  const built = aCondaPackage({ name, version, build });
  return {
    channel,
    package: name,
    version,
    basename: `noarch/${built.filename}`,
    kind: 'conda',
    bytes: built.bytes,
    labels,
  };
}

function wheel(channel: string, name: string, version = '1.0'): Sent {
  const { filename, bytes } = aWheel({ name, version });
  return { channel, package: name, version, basename: filename, kind: 'pypi', bytes };
}

let running: RunningPackages;
let ann: Caller;
let bob: Caller;
let eve: Caller;

beforeAll(async () => {
  running = await RunningPackages.start();
  [ann, bob, eve] = [running.user('ann'), running.user('bob'), running.user('eve')];
  // Their channels exist from the first question.
  for (const caller of [ann, bob, eve]) await (await running.packages(caller)).list({ channel: caller.login });
});
afterAll(() => running.stop());

const generationOf = async (login: string) =>
  Number((await (await running.gateway()).channels.find({ login })).channel?.generation);
const labelsSeen = async (caller: Caller | undefined, channel: string) => {
  const { labels } = await (await running.labels(caller)).list({ channel });
  return Object.fromEntries(labels.map(({ name, files, locked }) => [name, locked ? 'locked' : Number(files)]));
};
const labelsOf = async (caller: Caller, sent: Sent, channel = sent.channel) => {
  const { package: name, version, basename } = sent;
  const { file } = await (await running.files(caller)).find({ channel, package: name, version, basename });
  return file?.labels;
};
const auditOf = async (action: string) =>
  (await running.pool.query('SELECT actor, resource, after FROM audit WHERE action = $1 ORDER BY id', [action])).rows;

describe('labels', () => {
  it('are listed with the files that the caller sees', async () => {
    await running.upload(ann, conda('ann', 'open', '1.0', ['main', 'dev']));
    await (await running.packages(ann)).create({ channel: 'ann', name: 'closed', visibility: 'private' });
    await running.upload(ann, conda('ann', 'closed', '1.0', ['secret-beta', 'dev']));
    expect(await labelsSeen(ann, 'ann')).toMatchObject({ main: 1, dev: 2, 'secret-beta': 1 });
    expect(await labelsSeen(eve, 'ann')).toEqual({ main: 1, dev: 1 });
    expect(await labelsSeen(undefined, 'ann')).toEqual({ main: 1, dev: 1 });
  });

  it('show their files to those who see them, and are missing to others', async () => {
    const mine = await running.labels(ann);
    const { files } = await mine.show({ channel: 'ann', label: 'DEV' });
    expect(files.map(({ package: name }) => name).sort()).toEqual(['closed', 'open']);
    const theirs = await running.labels(eve);
    expect((await theirs.show({ channel: 'ann', label: 'dev' })).files.map((file) => file.package)).toEqual(['open']);
    const [hidden, missing] = await Promise.all(
      ['secret-beta', 'secret-zeta'].map((label) => theirs.show({ channel: 'ann', label }).catch((error) => error)),
    );
    expect([hidden.code, missing.code]).toEqual(['not_found', 'not_found']);
    expect(hidden.message.replace('beta', 'X')).toBe(missing.message.replace('zeta', 'X'));
  });

  it('are attached to a package, a release or a file, in one generation, and once', async () => {
    for (const version of ['1.0', '2.0']) await running.upload(ann, conda('ann', 'many', version));
    const labels = await running.labels(ann);
    const before = await generationOf('ann');
    expect((await labels.add({ channel: 'ann', label: 'All', package: 'many' })).files).toBe(2n);
    expect(await generationOf('ann')).toBe(before + 1);
    expect((await labels.add({ channel: 'ann', label: 'all', package: 'many' })).files).toBe(0n);
    expect(await generationOf('ann')).toBe(before + 1);
    await labels.add({ channel: 'ann', label: 'two', package: 'many', version: '2.0' });
    const [one, two] = [conda('ann', 'many', '1.0'), conda('ann', 'many', '2.0')];
    const { basename } = one;
    await labels.add({ channel: 'ann', label: 'one', package: 'many', version: '1.0', basename });
    expect(await labelsOf(ann, one)).toEqual(['all', 'main', 'one']);
    expect(await labelsOf(ann, two)).toEqual(['all', 'main', 'two']);
    expect((await auditOf('label.add')).map(({ resource }) => resource)).toEqual([
      'label all of ann/many',
      'label two of ann/many/2.0',
      `label one of ann/many/1.0/${basename}`,
    ]);
  });

  it('are detached from what is named, and without a name from everything', async () => {
    const labels = await running.labels(ann);
    await labels.remove({ channel: 'ann', label: 'all', package: 'many', version: '1.0' });
    expect(await labelsSeen(ann, 'ann')).toMatchObject({ all: 1 });
    await labels.remove({ channel: 'ann', label: 'dev' });
    expect(await labelsSeen(ann, 'ann')).not.toHaveProperty('dev');
    await expect(labels.remove({ channel: 'ann', label: 'dev' })).rejects.toMatchObject({ code: 'not_found' });
    const feed = await running.feed();
    const changed = await feed.changes({ channelId: 'id-ann', kind: 'conda', afterGeneration: 0n });
    expect(changed.names).toEqual(expect.arrayContaining(['closed', 'open']));
  });

  it('are at most a hundred of one file, as in an upload', async () => {
    await running.upload(
      ann,
      conda(
        'ann',
        'full',
        '1.0',
        Array.from({ length: 100 }, (_, at) => `l${at}`),
      ),
    );
    const labels = await running.labels(ann);
    const before = await generationOf('ann');
    await expect(labels.add({ channel: 'ann', label: 'more', package: 'full' })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('more than 100 labels'),
    });
    expect([await generationOf('ann'), (await labelsSeen(ann, 'ann')).more]).toEqual([before, undefined]);
    await (await running.packages(ann)).delete({ channel: 'ann', name: 'full' });
  });

  it('are copied to another label', async () => {
    const labels = await running.labels(ann);
    expect((await labels.copy({ channel: 'ann', label: 'main', to: 'Prod' })).files).toBeGreaterThanOrEqual(3n);
    const seen = await labelsSeen(ann, 'ann');
    expect(seen.prod).toBe(seen.main);
  });

  it.each([
    ['a reserved one', 'lock'],
    ['one with a segment copy', 'a/copy/b'],
    ['one that is a platform', 'linux-64'],
    ['none', ''],
  ])('refuse %s', async (_, label) => {
    const labels = await running.labels(ann);
    const asked = { channel: 'ann', label, package: 'many' };
    await expect(labels.add(asked)).rejects.toMatchObject({ code: 'invalid' });
  });

  it('belong to who may write: strangers are refused, and what is hidden is missing', async () => {
    const labels = await running.labels(eve);
    const asked = { channel: 'ann', label: 'x' };
    await expect(labels.add({ ...asked, package: 'open' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(labels.remove({ ...asked, label: 'main' })).rejects.toMatchObject({ code: 'forbidden' });
    const [hidden, missing] = await Promise.all(
      ['closed', 'clousy'].map((name) => labels.add({ ...asked, package: name }).catch((error) => error)),
    );
    expect([hidden.code, missing.code]).toEqual(['not_found', 'not_found']);
    expect(hidden.message.replace('closed', 'X')).toBe(missing.message.replace('clousy', 'X'));
    await expect(labels.lock({ channel: 'ann', label: 'main', locked: true })).rejects.toMatchObject({
      code: 'forbidden',
    });
  });

  it('without a name concern what the caller sees: what is hidden stays as it is, and is not spoken of', async () => {
    const packages = await running.packages(ann);
    for (const name of ['shared', 'hidden']) {
      await packages.create({ channel: 'ann', name, visibility: 'private' });
      await running.upload(ann, conda('ann', name, '1.0', ['wave']));
    }
    await (await running.collaborators(ann)).put({ channel: 'ann', package: 'shared', login: 'bob' });
    const labels = await running.labels(bob);
    expect((await labels.copy({ channel: 'ann', label: 'wave', to: 'tide' })).files).toBe(1n);
    expect((await labels.remove({ channel: 'ann', label: 'wave' })).files).toBe(1n);
    expect(await labelsOf(ann, conda('ann', 'shared'))).toEqual(['tide']);
    expect(await labelsOf(ann, conda('ann', 'hidden'))).toEqual(['wave']);
    await expect(labels.remove({ channel: 'ann', label: 'wave' })).rejects.toMatchObject({ code: 'not_found' });
    await packages.delete({ channel: 'ann', name: 'shared' });
    await packages.delete({ channel: 'ann', name: 'hidden' });
  });

  it('cut a token that is limited to others', async () => {
    const token = running.token(ann, 'label-token', { restrictions: create(RestrictionsSchema, { labels: ['dev'] }) });
    const labels = await running.labels(token);
    await expect(labels.add({ channel: 'ann', label: 'prod', package: 'open' })).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('a locked label', () => {
  it('keeps its files: none comes, none goes, none is replaced', async () => {
    const labels = await running.labels(ann);
    const file = conda('ann', 'held', '1.0', ['frozen']);
    await running.upload(ann, file);
    await labels.lock({ channel: 'ann', label: 'frozen', locked: true });
    expect(await labelsSeen(ann, 'ann')).toMatchObject({ frozen: 'locked' });
    const forbidden = { code: 'forbidden' };
    const { package: name, version, basename } = file;
    await expect(labels.add({ channel: 'ann', label: 'frozen', package: 'open' })).rejects.toMatchObject(forbidden);
    await expect(labels.remove({ channel: 'ann', label: 'frozen' })).rejects.toMatchObject(forbidden);
    await expect(labels.copy({ channel: 'ann', label: 'main', to: 'frozen' })).rejects.toMatchObject(forbidden);
    await expect(running.upload(ann, conda('ann', 'held', '2.0', ['frozen']))).rejects.toMatchObject(forbidden);
    const files = await running.files(ann);
    await expect(files.delete({ channel: 'ann', package: name, version, basename })).rejects.toMatchObject(forbidden);
    const copies = await running.copies(ann);
    const into = { channel: 'ann', package: 'open', version: '1.0', toLabel: 'frozen' };
    await expect(copies.copy(into)).rejects.toMatchObject(forbidden);
    await labels.lock({ channel: 'ann', label: 'frozen', locked: false });
    await files.delete({ channel: 'ann', package: name, version, basename });
    expect((await auditOf('label.lock')).length).toBe(1);
  });

  it('may be locked before it holds anything, which only its administrators see', async () => {
    await (await running.labels(ann)).lock({ channel: 'ann', label: 'release/9', locked: true });
    expect(await labelsSeen(ann, 'ann')).toMatchObject({ 'release/9': 'locked' });
    expect(await labelsSeen(eve, 'ann')).not.toHaveProperty('release/9');
  });
});

describe('a copy', () => {
  it('puts a release under another channel, bytes shared, all at once', async () => {
    await running.upload(ann, conda('ann', 'demo', '1.0'));
    await running.upload(ann, conda('ann', 'demo', '1.0', [], '1'));
    await running.upload(ann, wheel('ann', 'demo'));
    const before = await generationOf('bob');
    const copies = await running.copies(bob);
    const { files } = await copies.copy({ channel: 'ann', package: 'demo', version: '1.0', toChannel: 'bob' });
    expect(files).toHaveLength(3);
    expect(await generationOf('bob')).toBe(before + 1);
    const { package: made } = await (await running.packages(bob)).find({ channel: 'bob', name: 'demo' });
    expect(made).toMatchObject({ visibility: 'public', kinds: ['conda', 'pypi'], versions: ['1.0'] });
    const at = { channelId: 'id-bob', label: 'main', kind: 'conda', basename: conda('bob', 'demo').basename };
    expect(await (await running.gateway()).files.at(at)).toMatchObject({ found: true });
    expect(await running.differences(['id-ann', 'id-bob'])).toEqual([]);
    expect((await auditOf('file.copy')).at(-1)).toMatchObject({ actor: 'bob', resource: 'bob/demo/1.0' });
  });

  it('says conflict where a name is taken, and replaces or adds when told to', async () => {
    const copies = await running.copies(bob);
    const asked = { channel: 'ann', package: 'demo', version: '1.0', toChannel: 'bob' };
    await expect(copies.copy(asked)).rejects.toMatchObject({ code: 'conflict' });
    expect((await copies.copy({ ...asked, mode: Mode.UPDATE, toLabel: 'rc' })).files).toHaveLength(3);
    expect(await labelsOf(bob, conda('ann', 'demo'), 'bob')).toEqual(['main', 'rc']);
    // Other bytes of the same name, and then again those of ann.
    const file = conda('bob', 'demo');
    const { basename } = file;
    await (await running.files(bob)).delete({ channel: 'bob', package: 'demo', version: '1.0', basename });
    const other = aCondaPackage({ name: 'demo', version: '1.0', files: { 'other.txt': 'other' } });
    await running.upload(bob, { ...file, bytes: other.bytes });
    await copies.copy({ ...asked, mode: Mode.REPLACE });
    const found = await (await running.files(bob)).find({ channel: 'bob', package: 'demo', version: '1.0', basename });
    expect(found.file?.sha256).toBe(aCondaPackage({ name: 'demo', version: '1.0' }).sha256);
    expect(await running.differences(['id-bob'])).toEqual([]);
  });

  it('replaces no file that a limited token could not take away', async () => {
    const file = conda('bob', 'replaced');
    const other = aCondaPackage({ name: 'replaced', version: '1.0', files: { 'other.txt': 'other' } });
    await running.upload(bob, file);
    await running.upload(ann, { ...conda('ann', 'replaced'), bytes: other.bytes });
    const dev = running.token(bob, 'dev', { restrictions: create(RestrictionsSchema, { labels: ['dev', 'main'] }) });
    const asked = { channel: 'ann', package: 'replaced', version: '1.0', toChannel: 'bob', mode: Mode.REPLACE };
    await (await running.labels(bob)).add({ channel: 'bob', label: 'prod', package: 'replaced' });
    const copying = (await running.copies(dev)).copy({ ...asked, toLabel: 'dev' });
    await expect(copying).rejects.toMatchObject({ code: 'forbidden', message: expect.stringContaining('labels dev') });
    expect(await labelsOf(bob, file, 'bob')).toEqual(['main', 'prod']);
    await (await running.copies(bob)).copy({ ...asked, toLabel: 'dev' });
    expect(await labelsOf(bob, file, 'bob')).toEqual(['dev']);
    await (await running.packages(bob)).delete({ channel: 'bob', name: 'replaced' });
    await (await running.packages(ann)).delete({ channel: 'ann', name: 'replaced' });
  });

  it('takes only what carries the label, and gives nothing where nothing does', async () => {
    const copies = await running.copies(ann);
    const asked = { channel: 'ann', package: 'demo', version: '1.0' };
    expect((await copies.copy({ ...asked, fromLabel: 'nope', toLabel: 'x' })).files).toEqual([]);
    const { basename } = conda('ann', 'demo');
    const one = { ...asked, basename, toLabel: 'stable' };
    expect((await copies.copy(one)).files.map(({ labels }) => labels)).toEqual([['main', 'stable']]);
    await expect(copies.copy(one)).rejects.toMatchObject({ code: 'conflict' });
    expect((await copies.copy({ ...one, mode: Mode.UPDATE })).files).toHaveLength(1);
  });

  it('of a private package is private, and never opens it', async () => {
    await (await running.packages(ann)).create({ channel: 'ann', name: 'hush', visibility: 'private' });
    await running.upload(ann, conda('ann', 'hush'));
    const org = running.organization('acme', ann);
    expect(org).toBe('id-acme');
    const copies = await running.copies(ann);
    const asked = { channel: 'ann', package: 'hush', version: '1.0', toChannel: 'acme' };
    await copies.copy(asked);
    const { package: made } = await (await running.packages(ann)).find({ channel: 'acme', name: 'hush' });
    expect(made?.visibility).toBe('private');
    await expect((await running.packages(eve)).find({ channel: 'acme', name: 'hush' })).rejects.toMatchObject({
      code: 'not_found',
    });
    await (await running.packages(ann)).update({ channel: 'acme', name: 'hush', visibility: 'public' });
    await running.upload(ann, conda('ann', 'hush', '1.0', [], '7'));
    await expect(copies.copy({ ...asked, mode: Mode.UPDATE })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('would open it'),
    });
  });

  it('of what is hidden answers as of what is missing', async () => {
    const copies = await running.copies(eve);
    const [hidden, missing] = await Promise.all(
      ['hush', 'hash'].map((name) =>
        copies.copy({ channel: 'ann', package: name, version: '1.0', toChannel: 'eve' }).catch((error) => error),
      ),
    );
    expect([hidden.code, missing.code]).toEqual(['not_found', 'not_found']);
    expect(hidden.message.replace('hush', 'X')).toBe(missing.message.replace('hash', 'X'));
  });

  it('needs the rights of an upload where it goes to', async () => {
    const asked = { channel: 'ann', package: 'demo', version: '1.0', toChannel: 'ann', toLabel: 'mine' };
    await expect((await running.copies(eve)).copy(asked)).rejects.toMatchObject({ code: 'forbidden' });
    await expect((await running.copies(undefined)).copy(asked)).rejects.toMatchObject({ code: 'unauthenticated' });
    const reading = running.token(eve, 'read-only', { scopes: ['api:read'] });
    const own = { ...asked, toChannel: 'eve' };
    await expect((await running.copies(reading)).copy(own)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('passes another in the opposite direction without a deadlock', async () => {
    await running.upload(bob, conda('bob', 'back'));
    const [mine, theirs] = [await running.copies(ann), await running.copies(bob)];
    const rounds = Array.from({ length: 10 }, (_, at) => [
      mine.copy(
        { channel: 'bob', package: 'back', version: '1.0', toChannel: 'ann', toLabel: `l${at}`, mode: Mode.UPDATE },
        { timeoutMs: 30_000 },
      ),
      theirs.copy(
        { channel: 'ann', package: 'demo', version: '1.0', toChannel: 'bob', toLabel: `l${at}`, mode: Mode.UPDATE },
        { timeoutMs: 30_000 },
      ),
    ]);
    const settled = await Promise.allSettled(rounds.flat());
    expect(settled.filter(({ status }) => status === 'rejected')).toEqual([]);
  });
});

describe('a search', () => {
  const names = async (caller: Caller | undefined, asked: { name?: string; kind?: string; platform?: string }) => {
    const found: string[] = [];
    const search = await running.search(caller);
    for (let after = ''; ; ) {
      const page = await search.find({ ...asked, after, limit: 3 });
      found.push(...page.packages.map(({ channel, name }) => `${channel}/${name}`));
      if (!page.more) return found;
      after = page.next;
    }
  };

  beforeAll(async () => {
    const packages = await running.packages(ann);
    for (const [name, visibility] of [
      ['seek-open', 'public'],
      ['seek-signed', 'authenticated'],
      ['seek-closed', 'private'],
      ['seek-team', 'private'],
      ['seek_100%', 'public'],
    ] as const) {
      if (name !== 'seek_100%') await packages.create({ channel: 'ann', name, visibility });
    }
    await running.upload(ann, wheel('ann', 'seek-open'));
    running.organization('team', ann);
    running.group('id-team', { name: 'devs', permission: 'read' }, [bob]);
    await packages.create({ channel: 'team', name: 'seek-team', visibility: 'private' });
    await (await running.grants(ann)).put({ channel: 'team', group: 'devs', package: 'seek-team' });
  });

  it('finds in all channels what the caller may read, and nothing else', async () => {
    expect(await names(undefined, { name: 'seek' })).toEqual(['ann/seek-open']);
    expect(await names(eve, { name: 'SEEK' })).toEqual(['ann/seek-open', 'ann/seek-signed']);
    expect(await names(bob, { name: 'seek' })).toEqual(['ann/seek-open', 'ann/seek-signed', 'team/seek-team']);
    expect(await names(ann, { name: 'seek' })).toEqual([
      'ann/seek-closed',
      'ann/seek-open',
      'ann/seek-signed',
      'ann/seek-team',
      'team/seek-team',
    ]);
  });

  it('takes letters for themselves, and a star for anything', async () => {
    expect(await names(ann, { name: 'seek_o' })).toEqual([]);
    expect(await names(ann, { name: '%' })).toEqual([]);
    expect(await names(ann, { name: 's*open' })).toEqual(['ann/seek-open']);
  });

  it('narrows by kind and platform', async () => {
    expect(await names(ann, { name: 'seek', kind: 'pypi' })).toEqual(['ann/seek-open']);
    expect(await names(ann, { name: 'demo', platform: 'noarch' })).toEqual(['ann/demo', 'bob/demo']);
    expect(await names(ann, { name: 'demo', platform: 'linux-64' })).toEqual([]);
    const search = await running.search(ann);
    await expect(search.find({ kind: 'egg' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(search.find({ platform: 'amiga-68k' })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('is cut by what a token may not reach, and says so where it may not search', async () => {
    const globbed = running.token(ann, 'globbed', {
      restrictions: create(RestrictionsSchema, { packages: ['seek-c*'] }),
    });
    expect(await names(globbed, { name: 'seek' })).toEqual(['ann/seek-closed', 'ann/seek-open']);
    const elsewhere = running.token(ann, 'elsewhere', {
      restrictions: create(RestrictionsSchema, { channels: ['id-team'] }),
    });
    expect(await names(elsewhere, { name: 'seek' })).toEqual(['ann/seek-open', 'team/seek-team']);
    const labelled = running.token(ann, 'labelled', {
      restrictions: create(RestrictionsSchema, { labels: ['main'] }),
    });
    expect(await names(labelled, { name: 'seek' })).toEqual(['ann/seek-open']);
    const narrow = await running.search(running.token(ann, 'narrow', { scopes: ['conda:download'] }));
    await expect(narrow.find({ name: 'seek' })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('api:read'),
    });
  });
});
