import { Organizations } from '@vivarium/contracts/gen/vivarium/authz/v1/organizations_pb';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Files } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Packages, Releases } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, BOB, type Running, startGateway } from '../gateway.fixture.js';

const CREATED_MS = 1_446_511_109_074n;
const FILE = {
  id: 'f1',
  package: 'foo',
  version: '0.1',
  basename: 'osx-64/foo-0.1-0.tar.bz2',
  kind: 'conda',
  sha256: 'ab'.repeat(32),
  md5: 'cd'.repeat(16),
  sizeBytes: 5n,
  labels: ['main', 'dev'],
  attributesJson: '{"subdir":"osx-64","build":"0"}',
  dependenciesJson: '{"depends":[]}',
  uploadedAtMs: CREATED_MS,
  downloads: 3n,
};
const PACKAGE = {
  id: 'p1',
  channel: 'alice',
  name: 'foo',
  visibility: 'public',
  kinds: ['conda'],
  summary: 's',
  attributesJson: '{"license":{"name":"MIT","url":"http://l","family":null},"home":"http://h","dev_url":null}',
  versions: ['0.1', '0.2'],
  latestVersion: '0.2',
  platforms: { 'osx-64': '0.2', 'linux-64': '0.1' },
  createdAtMs: CREATED_MS,
  modifiedAtMs: CREATED_MS,
};
const RELEASE = { id: 'r1', version: '0.1', attributesJson: '{"summary":"s"}', createdAtMs: CREATED_MS, files: [FILE] };

let gateway: Running;
let headers: Record<string, string>;
beforeAll(async () => {
  gateway = await startGateway();
  headers = { 'Content-Type': 'application/json', Authorization: `token ${gateway.token(ALICE)}` };
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.others.heard.length = 0;
  gateway.others.teach(Packages, 'find', async () => ({ package: PACKAGE }));
  gateway.others.teach(Packages, 'update', async () => ({ package: PACKAGE, readable: true }));
  gateway.others.teach(Packages, 'create', async () => ({ package: PACKAGE, created: true }));
  gateway.others.teach(Packages, 'delete', async () => ({}));
  gateway.others.teach(Releases, 'find', async () => ({ release: RELEASE, package: PACKAGE }));
  gateway.others.teach(Releases, 'create', async () => ({ release: RELEASE }));
  gateway.others.teach(Releases, 'update', async () => ({ release: RELEASE }));
  gateway.others.teach(Releases, 'delete', async () => ({}));
  gateway.others.teach(Files, 'delete', async () => ({ file: FILE }));
});

const ask = (method: string, path: string, body?: object) =>
  gateway.ask(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

describe('packages', () => {
  it('are shown with their files and what is known of them', async () => {
    gateway.others.teach(Packages, 'find', async ({ afterFile }) =>
      afterFile === ''
        ? { package: { ...PACKAGE, files: [FILE] }, moreFiles: true }
        : { package: { ...PACKAGE, files: [{ ...FILE, id: 'f2' }] }, moreFiles: false },
    );
    const answer = await ask('GET', '/api/package/alice/foo');
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    expect(answer.json()).toMatchObject({
      name: 'foo',
      full_name: 'alice/foo',
      owner: { login: 'alice' },
      public: true,
      visibility: 'public',
      package_types: ['conda'],
      license: 'MIT',
      license_url: 'http://l',
      home: 'http://h',
      dev_url: null,
      html_url: 'http://vivarium.test/alice/foo',
      latest_version: '0.2',
      conda_platforms: ['linux-64', 'osx-64'],
      releases: [{ version: '0.1' }, { version: '0.2' }],
      created_at: '2015-11-03 00:38:29.074000+00:00',
      files: [
        {
          id: 'f1',
          basename: 'osx-64/foo-0.1-0.tar.bz2',
          full_name: 'alice/foo/0.1/osx-64/foo-0.1-0.tar.bz2',
          download_url: 'http://vivarium.test/api/download/alice/foo/0.1/osx-64/foo-0.1-0.tar.bz2',
          type: 'conda',
          version: '0.1',
          size: 5,
          ndownloads: 3,
          labels: ['main', 'dev'],
          attrs: { subdir: 'osx-64' },
          dependencies: { depends: [] },
          upload_time: '2015-11-03 00:38:29.074000+00:00',
        },
        { id: 'f2' },
      ],
    });
    const files = await ask('GET', '/api/package/alice/foo/files');
    expect(files.json()).toMatchObject([{ id: 'f1' }, { id: 'f2' }]);
  });

  it('are listed whole, as a bare array, page by page', async () => {
    const names = Array.from({ length: 1_200 }, (_, index) => `p${String(index).padStart(4, '0')}`);
    gateway.others.teach(Packages, 'list', async ({ after, limit }) => {
      const rest = names.filter((name) => name > after);
      return { packages: rest.slice(0, limit).map((name) => ({ ...PACKAGE, name })), more: rest.length > limit };
    });
    const answer = await ask('GET', '/api/packages/alice');
    const rows = answer.json();
    expect(Array.isArray(rows) && rows.map(({ full_name }) => full_name)).toEqual(names.map((name) => `alice/${name}`));
    expect((await ask('GET', '/api/packages')).json()).toHaveLength(1_200);
  });

  it('are an empty array where there are none', async () => {
    gateway.others.teach(Packages, 'list', async () => ({}));
    expect((await ask('GET', '/api/packages/alice')).text).toBe('[]');
  });

  it('answer a HEAD without a body', async () => {
    const answer = await ask('HEAD', '/api/package/alice/foo');
    expect([answer.status, answer.text]).toEqual([200, '']);
  });

  it.each([
    [
      { public: true, publish: false, public_attrs: { summary: 's' } },
      { visibility: '', attributesJson: '{"summary":"s"}' },
    ],
    [
      { public: false, publish: false, public_attrs: {} },
      { visibility: 'private', attributesJson: '{}' },
    ],
    [
      { public: true, visibility: 'authenticated' },
      { visibility: 'authenticated', attributesJson: '' },
    ],
  ])('are made with 200 from %j', async (body, request) => {
    const answer = await ask('POST', '/api/package/alice/My.Demo_Pkg', body);
    expect(answer.status).toBe(200);
    expect(gateway.others.heardOf(Packages, 'create')).toMatchObject([
      { channel: 'alice', name: 'My.Demo_Pkg', ...request },
    ]);
  });

  it.each([
    [{ public_attrs: { summary: 'u' } }, { visibility: '', attributesJson: '{"summary":"u"}' }],
    // rattler sends both; neither may publish what is private.
    [
      { public: true, publish: false, public_attrs: { name: 'foo' } },
      { visibility: '', attributesJson: '{"name":"foo"}' },
    ],
    [{ public: false }, { visibility: '', attributesJson: '' }],
    [{ visibility: 'private' }, { visibility: 'private', attributesJson: '' }],
  ])('are changed with 200 by %j', async (body, request) => {
    const answer = await ask('PATCH', '/api/package/alice/foo', body);
    expect([answer.status, answer.json()]).toMatchObject([200, { name: 'foo', index: 'ready' }]);
    expect(gateway.others.heardOf(Packages, 'update')).toMatchObject([{ channel: 'alice', name: 'foo', ...request }]);
  });

  it('refuse a visibility that is none', async () => {
    const answer = await ask('PATCH', '/api/package/alice/foo', { visibility: 'secret' });
    expect([answer.status, answer.json()]).toMatchObject([400, { error: expect.stringContaining('"secret"') }]);
    expect(gateway.others.heardOf(Packages, 'update')).toEqual([]);
  });

  it('are deleted with 201', async () => {
    expect((await ask('DELETE', '/api/package/alice/foo')).status).toBe(201);
    expect(gateway.others.heardOf(Packages, 'delete')).toMatchObject([{ channel: 'alice', name: 'foo' }]);
  });

  it('tell an anonymous caller what the service tells', async () => {
    gateway.others.teach(Packages, 'find', async (_request, call) => {
      throw new Fault(call.assertion === undefined ? 'not_found' : 'internal', 'There is no package alice/absent.');
    });
    const answer = await gateway.ask('/api/package/alice/absent');
    expect([answer.status, answer.json()]).toEqual([
      404,
      { error: 'There is no package alice/absent.', code: 'not_found' },
    ]);
  });

  it('cut the connection when a later page fails', async () => {
    gateway.others.teach(Packages, 'list', async ({ after }) => {
      if (after !== '') throw new Fault('unavailable', 'gone');
      return { packages: [PACKAGE], more: true };
    });
    await expect(ask('GET', '/api/packages/alice')).rejects.toThrow();
  });
});

describe('releases', () => {
  const path = '/api/release/alice/demo/1!2.0+local.1';
  const place = { channel: 'alice', package: 'demo', version: '1!2.0+local.1' };

  it('show their files', async () => {
    const answer = await ask('GET', path);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({
      version: '0.1',
      public_attrs: { summary: 's', description: '' },
      distributions: [{ basename: 'osx-64/foo-0.1-0.tar.bz2' }],
    });
    expect(gateway.others.heardOf(Releases, 'find')).toMatchObject([place]);
  });

  it('are made with 200 from a flat body', async () => {
    const body = { requirements: [], announce: null, description: 'd', version: '1', home_page: null };
    expect((await ask('POST', path, body)).status).toBe(200);
    const attributesJson = '{"description":"d","version":"1","home_page":null}';
    expect(gateway.others.heardOf(Releases, 'create')).toMatchObject([{ ...place, attributesJson }]);
  });

  it('are changed with 200 from a nested one', async () => {
    expect((await ask('PATCH', path, { public_attrs: { description: 'e' } })).status).toBe(200);
    expect(gateway.others.heardOf(Releases, 'update')).toMatchObject([
      { ...place, attributesJson: '{"description":"e"}' },
    ]);
  });

  it('are deleted with 201', async () => {
    expect((await ask('DELETE', path)).status).toBe(201);
    expect(gateway.others.heardOf(Releases, 'delete')).toMatchObject([place]);
  });
});

describe('files', () => {
  const place = { channel: 'alice', package: 'demo', version: '1!2.0+l', basename: 'noarch/x-1!2.0+l-0.conda' };

  it.each([
    '/api/dist/alice/demo/1!2.0+l/noarch/x-1!2.0+l-0.conda',
    '/api/dist/alice/demo/1!2.0+l/noarch/x-1%212.0%2Bl-0.conda',
    '/api/dist/alice/demo/1!2.0+l/noarch%2Fx-1%212.0%2Bl-0.conda',
  ])('are found at %s', async (path) => {
    gateway.others.teach(Files, 'find', async () => ({ file: FILE, package: PACKAGE, blobKey: 'k' }));
    const answer = await ask('GET', path);
    expect([answer.status, answer.json()]).toMatchObject([
      200,
      { basename: FILE.basename, sha256: FILE.sha256, description: '' },
    ]);
    expect(gateway.others.heardOf(Files, 'find')).toMatchObject([place]);
  });

  it('are deleted with 200 and a body', async () => {
    const answer = await ask('DELETE', '/api/dist/alice/foo/0.1/osx-64/foo-0.1-0.tar.bz2');
    expect([answer.status, answer.json()]).toMatchObject([200, { basename: FILE.basename }]);
  });

  it('are downloaded as bytes that no browser shows, whole and in part', async () => {
    await gateway.blobs.put('blobs/x', Buffer.from('hello'));
    gateway.others.teach(Files, 'find', async () => ({ file: FILE, package: PACKAGE, blobKey: 'blobs/x' }));
    const path = '/api/download/alice/foo/0.1/osx-64/foo-0.1-0.tar.bz2';
    const whole = await gateway.ask(path);
    expect([whole.status, whole.text]).toEqual([200, 'hello']);
    expect(gateway.others.heardOf(Files, 'find')).toMatchObject([{ bytes: true }]);
    expect(whole.headers).toMatchObject({
      etag: `"${FILE.sha256}"`,
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'content-security-policy': expect.stringMatching(/^sandbox;/),
      'x-content-type-options': 'nosniff',
      'cache-control': 'private, no-cache',
    });
    const part = await gateway.ask(path, { headers: { Range: 'bytes=1-2' } });
    expect([part.status, part.text]).toEqual([206, 'el']);
    expect((await gateway.ask(path, { headers: { 'If-None-Match': `"${FILE.sha256}"` } })).status).toBe(304);
  });

  it('of no bytes are downloaded too', async () => {
    await gateway.blobs.put('blobs/empty', Buffer.alloc(0));
    gateway.others.teach(Files, 'find', async () => ({ file: { ...FILE, sizeBytes: 0n }, blobKey: 'blobs/empty' }));
    const answer = await gateway.ask('/api/download/alice/blob/1/blob.bin');
    expect([answer.status, answer.text, answer.headers['content-length']]).toEqual([200, '', '0']);
  });

  it('cost a use of a token that has few, and a 304 costs none', async () => {
    gateway.others.teach(Files, 'find', async () => ({ file: FILE, package: PACKAGE, blobKey: 'blobs/x' }));
    gateway.others.teach(Callers, 'use', async () => ({ remaining: 1n }));
    const Authorization = `token ${gateway.token({ ...ALICE, limitedUses: true, credentialId: 'few' })}`;
    const path = '/api/download/alice/foo/0.1/osx-64/foo-0.1-0.tar.bz2';
    await gateway.ask(path, { headers: { Authorization, 'If-None-Match': `"${FILE.sha256}"` } });
    expect(gateway.others.heardOf(Callers, 'use')).toEqual([]);
    await gateway.ask(path, { headers: { Authorization } });
    expect(gateway.others.heardOf(Callers, 'use')).toMatchObject([{ tokenId: 'few' }]);
  });
});

describe('stages', () => {
  const body = {
    distribution_type: 'conda',
    description: null,
    attrs: { subdir: 'noarch' },
    dependencies: null,
    channels: [],
    sha256: 'ab'.repeat(32),
  };

  it('open with 200 and an absolute address for the bytes', async () => {
    gateway.others.teach(Stages, 'open', async () => ({ stageId: 's1', ticket: 's1-mac' }));
    const answer = await ask('POST', '/api/stage/alice/demo/1/noarch/demo-1-0.conda', body);
    expect([answer.status, answer.json()]).toEqual([
      200,
      { post_url: 'http://vivarium.test/api/-/upload/s1-mac', form_data: { stage: 's1' }, dist_id: 's1' },
    ]);
    expect(gateway.others.heardOf(Stages, 'open')).toMatchObject([
      {
        channel: 'alice',
        package: 'demo',
        version: '1',
        basename: 'noarch/demo-1-0.conda',
        kind: 'conda',
        labels: [],
        sha256: body.sha256,
        description: '',
        attributesJson: '{"subdir":"noarch"}',
        dependenciesJson: '{}',
      },
    ]);
  });

  it('say 409 when the name is taken', async () => {
    gateway.others.teach(Stages, 'open', async () => {
      throw new Fault('conflict', 'demo-1-0.conda already exists');
    });
    expect((await ask('POST', '/api/stage/alice/demo/1/noarch/demo-1-0.conda', body)).status).toBe(409);
  });

  it.each([
    [true, 'ready'],
    [false, 'pending'],
  ])('commit with 200 and the page of the package (readable: %s)', async (readable, index) => {
    gateway.others.teach(Stages, 'commit', async () => ({ file: FILE, package: PACKAGE, generation: 42n, readable }));
    const answer = await ask('POST', '/api/commit/alice/foo/0.1/osx-64/foo-0.1-0.tar.bz2', { dist_id: 's1' });
    expect([answer.status, answer.json()]).toMatchObject([
      200,
      { url: 'http://vivarium.test/alice/foo', generation: 42, index },
    ]);
    expect(gateway.others.heardOf(Stages, 'commit')).toMatchObject([
      { stageId: 's1', channel: 'alice', package: 'foo', version: '0.1', basename: FILE.basename },
    ]);
  });

  it('need the id that was given', async () => {
    const answer = await ask('POST', '/api/commit/alice/foo/0.1/x.whl', {});
    expect([answer.status, answer.json()]).toEqual([
      400,
      { error: '"dist_id" is missing in the body.', code: 'invalid' },
    ]);
  });
});

describe('accounts', () => {
  beforeEach(() => {
    gateway.others.teach(Accounts, 'find', async ({ by }) => ({
      account: {
        id: by.case === 'id' ? by.value : `${by.value?.slice(0, 1)}1`,
        login: by.case === 'id' ? 'alice' : `${by.value}`,
        kind: 'user',
        email: 'a@b',
        createdAtMs: CREATED_MS,
      },
    }));
  });

  it('show themselves with everything', async () => {
    const answer = await ask('GET', '/api/user');
    expect([answer.status, answer.json()]).toMatchObject([
      200,
      { login: 'alice', user_type: 'user', created_at: '2015-11-03 00:38:29.074000+00:00', email: 'a@b' },
    ]);
  });

  it('show others what everybody may know', async () => {
    const answer = await ask('GET', '/api/user/carol');
    expect(answer.json()).toMatchObject({ login: 'carol', user_type: 'user' });
    expect(answer.json()).not.toHaveProperty('email');
  });

  it('are one 404, hidden or missing, to who is signed in', async () => {
    const answers = await Promise.all(['hidden', 'nobody'].map((login) => ask('GET', `/api/user/${login}`)));
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    expect(answers[0]?.text.replaceAll('hidden', 'nobody')).toBe(answers[1]?.text);
  });

  it('are one 401, hidden or missing, to who is not', async () => {
    const answers = await Promise.all(['hidden', 'nobody'].map((login) => gateway.ask(`/api/user/${login}`)));
    expect(answers.map(({ status }) => status)).toEqual([401, 401]);
    expect(answers[0]?.text.replaceAll('hidden', 'nobody')).toBe(answers[1]?.text);
  });

  it('in upper case are 404', async () => {
    expect((await ask('GET', '/api/user/Carol')).status).toBe(404);
  });

  it('are members of organizations', async () => {
    gateway.others.teach(Organizations, 'ofUser', async () => ({
      accounts: [{ login: 'acme', kind: 'organization' }],
    }));
    const answer = await ask('GET', '/api/users/carol/orgs');
    expect([answer.status, answer.json()]).toMatchObject([200, [{ login: 'acme', user_type: 'org' }]]);
    expect((await ask('GET', '/api/users/hidden/orgs')).status).toBe(404);
  });

  it('are made with 201', async () => {
    gateway.others.teach(Accounts, 'createUser', async ({ login }) => ({ account: { id: 'd1', login, kind: 'user' } }));
    const answer = await ask('POST', '/api/users', { login: 'dora', email: 'd@e', password: 'p', superuser: true });
    expect([answer.status, answer.json()]).toMatchObject([201, { login: 'dora' }]);
    expect(gateway.others.heardOf(Accounts, 'createUser')).toMatchObject([
      { login: 'dora', email: 'd@e', password: 'p', superuser: true },
    ]);
  });
});

describe('the generation of a channel', () => {
  it('is waited for', async () => {
    gateway.others.teach(Channels, 'await', async ({ generation }) => ({
      readable: true,
      generation: 9n,
      indexed: generation,
    }));
    const answer = await ask('GET', '/api/channels/alice/generation?kind=conda&at=8&wait=100');
    expect([answer.status, answer.json()]).toEqual([200, { generation: 9, indexed: { conda: 8 }, readable: true }]);
    expect(gateway.others.heardOf(Channels, 'await')).toMatchObject([
      { channelId: 'a1', kind: 'conda', generation: 8n, waitMs: 100n },
    ]);
    const now = await ask('GET', '/api/channels/alice/generation');
    expect(now.json()).toEqual({ generation: 9, indexed: { conda: 7, pypi: 7 }, readable: true });
  });

  it.each([
    ['/api/channels/alice/generation?kind=r', 400],
    ['/api/channels/alice/generation?at=x', 400],
    ['/api/channels/alice/generation?wait=1&wait=2', 400],
    ['/api/channels/hidden/generation', 404],
  ])('is refused at %s with %d', async (path, status) => {
    expect((await ask('GET', path)).status).toBe(status);
  });
});

describe('the generation of a channel, which moves when something hidden does,', () => {
  it('is told to nobody but those who publish there', async () => {
    const path = '/api/channels/alice/generation';
    expect((await gateway.ask(path)).status).toBe(401);
    const other = await gateway.ask(path, { headers: { Authorization: `token ${gateway.token(BOB)}` } });
    expect([other.status, other.text]).toEqual([403, expect.stringContaining('alice')]);
    expect(other.text).not.toContain('7');
    expect(gateway.others.heardOf(Channels, 'await')).toEqual([]);
  });
});

describe('paths', () => {
  it.each([
    ['/api/package/alice/..%2Fbob', 400],
    ['/api/package/alice/%2e%2e', 400],
    ['/api/package/alice/a%00b', 400],
    ['/api/package/alice/a%0Ab', 400],
    ['/api/package//alice/foo', 400],
    ['/api/package/alice/%ff', 400],
    ['/api/package/alice/a%2Fb', 400],
    ['/api/package/alice/a%5Cb', 400],
    ['/api/dist/alice/foo/1/a/b/c', 400],
    ['/api/dist/alice/foo/1/a%2Fb%2Fc', 400],
    ['/api/Package/alice/foo', 404],
    ['/api/nothing', 404],
  ])('%s is refused with %d and an error that is a text', async (path, status) => {
    const answer = await ask('GET', path);
    expect([answer.status, answer.json()]).toMatchObject([status, { error: expect.any(String) }]);
    expect(gateway.others.heardOf(Packages, 'find')).toEqual([]);
  });

  it('never repeat what may be a token', async () => {
    const token = gateway.token(BOB);
    const answer = await gateway.ask(`/api/t/${token}/x`);
    expect(answer.status).toBe(404);
    expect(answer.text).not.toContain(token);
  });

  it('answer OPTIONS alike, whatever is there', async () => {
    const answers = await Promise.all(
      ['/api/user', '/api/nothing'].map((path) => gateway.ask(path, { method: 'OPTIONS' })),
    );
    expect(answers.map(({ status, headers: { date: _date, ...rest } }) => ({ status, rest }))).toEqual([
      {
        status: 204,
        rest: answers[1]?.headers === undefined ? {} : expect.objectContaining({ allow: answers[1].headers.allow }),
      },
      { status: 204, rest: expect.anything() },
    ]);
  });

  it('of the web that nothing serves are 404', async () => {
    expect((await gateway.ask('/alice/foo/bar/baz')).status).toBe(404);
  });

  it('tell of our own failures without their cause, and log it once', async () => {
    gateway.others.teach(Packages, 'find', async () => {
      throw new Error('the password is swordfish');
    });
    gateway.log.length = 0;
    const answer = await ask('GET', '/api/package/alice/foo');
    expect([answer.status, answer.json()]).toMatchObject([500, { code: 'internal' }]);
    expect(answer.text).not.toContain('swordfish');
    expect(gateway.log.filter((line) => line.includes('swordfish'))).toHaveLength(1);
  });
});
