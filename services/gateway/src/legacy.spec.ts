import { createHash, randomBytes } from 'node:crypto';
import { blake2b } from '@noble/hashes/blake2.js';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Answered, type Running, startGateway } from './gateway.fixture.js';

const BOUNDARY = 'f00';
const WHEEL = randomBytes(700_000);
const SHA256 = createHash('sha256').update(WHEEL).digest('hex');
const MD5 = createHash('md5').update(WHEEL).digest('hex');
const BLAKE2 = Buffer.from(blake2b(WHEEL, { dkLen: 32 })).toString('hex');

type Fields = readonly (readonly [string, string])[];

const FIELDS: Fields = [
  [':action', 'file_upload'],
  ['protocol_version', '1'],
  ['metadata_version', '2.1'],
  ['name', 'demo'],
  ['version', '1.0'],
  ['filetype', 'bdist_wheel'],
  ['pyversion', 'py3'],
  ['classifiers', 'A'],
  ['classifiers', 'B'],
  ['description', 'x'.repeat(2_000_000)],
];

function formOf(
  before: Fields,
  after: Fields = [],
  file: string | undefined = 'filename="demo-1.0-py3-none-any.whl"',
): Buffer {
  const pieces = [
    ...before.map(fieldOf),
    Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="content"; ${file}\r\nContent-Type: application/octet-stream\r\n\r\n`,
    ),
    WHEEL,
    Buffer.from('\r\n'),
    ...after.map(fieldOf),
  ];
  return Buffer.concat([...pieces, Buffer.from(`--${BOUNDARY}--\r\n`)]);
}

function fieldOf([name, value]: readonly [string, string]): Buffer {
  return Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
}

const without = (...names: readonly string[]): Fields => FIELDS.filter(([name]) => !names.includes(name));
const sha256: Fields = [['sha256_digest', SHA256]];

let gateway: Running;
let basic: string;
beforeAll(async () => {
  gateway = await startGateway();
  basic = `Basic ${Buffer.from(`__token__:${gateway.token(ALICE)}`).toString('base64')}`;
});
afterAll(() => gateway.stop());
beforeEach(async () => {
  gateway.others.heard.length = 0;
  gateway.others.teach(Stages, 'admit', async () => ({ maxBytes: 10n ** 9n }));
  gateway.others.teach(Stages, 'submit', async () => ({ readable: true, created: true }));
  for (const key of await gateway.stagedKeys()) await gateway.blobs.delete(key);
});

const upload = (body: Buffer, headers: Record<string, string> = {}, path = '/pypi/alice/legacy/') =>
  gateway.ask(path, {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}`, Authorization: basic, ...headers },
    body,
  });

async function refusal(answer: Answered, status: number): Promise<string> {
  expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/json']);
  const said = answer.json();
  expect(said).toEqual({ message: answer.reason, code: `${status} ${answer.reason}`, title: expect.any(String) });
  expect(gateway.others.heardOf(Stages, 'submit')).toEqual([]);
  expect(await gateway.stagedKeys()).toEqual([]);
  return answer.reason;
}

describe('an upload by form', () => {
  it.each(['/pypi/alice/legacy/', '/pypi/alice/legacy', '/pypi/alice/', '/pypi/alice'])('goes to %s', async (path) => {
    const answer = await upload(formOf([...FIELDS, ...sha256]), {}, path);
    expect([answer.status, answer.text]).toEqual([200, '']);
    const [stagingKey] = await gateway.stagedKeys();
    expect(gateway.others.heardOf(Stages, 'submit')).toMatchObject([
      {
        channel: 'alice',
        kind: 'pypi',
        basename: 'demo-1.0-py3-none-any.whl',
        stagingKey,
        sha256: SHA256,
        md5: MD5,
        sizeBytes: BigInt(WHEEL.byteLength),
        formName: 'demo',
        formVersion: '1.0',
        formFiletype: 'bdist_wheel',
        labels: [],
      },
    ]);
  });

  it('goes to the host of Python, and with the token in the path', async () => {
    const token = gateway.token(ALICE);
    const form = formOf([...FIELDS, ...sha256]);
    const headers = { Host: 'pypi.vivarium.test', Authorization: '' };
    expect((await upload(form, headers, `/t/${token}/alice/legacy/`)).status).toBe(200);
    expect((await upload(form, { Authorization: '' }, `/pypi/t/${token}/alice/legacy/`)).status).toBe(200);
  });

  it('is admitted and submitted for the caller, with a proof of its own each time', async () => {
    await upload(formOf([...FIELDS, ...sha256]));
    expect(gateway.others.heard.map(({ rpc, assertion }) => [rpc, assertion])).toEqual([
      ['identity.Callers.whoIs', undefined],
      ['packages.Stages.admit', 'alice to packages'],
      ['identity.Callers.whoIs', undefined],
      ['packages.Stages.submit', 'alice to packages'],
    ]);
  });

  it.each<[string, Fields, Fields]>([
    ['every digest before the file', [...FIELDS, ...sha256, ['md5_digest', MD5], ['blake2_256_digest', BLAKE2]], []],
    [
      'every digest behind it',
      FIELDS,
      [...sha256, ['md5_digest', MD5], ['blake2_256_digest', BLAKE2], ['attestations', '[]']],
    ],
    ['the md5 alone', [...FIELDS, ['md5_digest', MD5]], []],
    ['the blake2 alone, in capitals', [...FIELDS, ['blake2_256_digest', BLAKE2.toUpperCase()]], []],
    ['all its fields behind the file', [], [...FIELDS, ...sha256]],
    ['empty fields', [...FIELDS, ...sha256, ['md5_digest', ''], ['requires_python', '']], []],
    ['no protocol version', [...without('protocol_version'), ...sha256], []],
    ['no Python version for an sdist', [...without('filetype', 'pyversion'), ['filetype', 'sdist'], ...sha256], []],
  ])('may have %s', async (_what, before, after) => {
    const answer = await upload(formOf(before, after));
    expect([answer.status, answer.text]).toEqual([200, '']);
  });

  it.each<[string, Fields, Fields, RegExp]>([
    ['a wrong sha256', [...FIELDS, ['sha256_digest', '0'.repeat(64)]], [], /^The sha256 of the file is/],
    ['a wrong sha256 behind the file', FIELDS, [['sha256_digest', '0'.repeat(64)]], /^The sha256 of the file is/],
    ['a wrong md5', [...FIELDS, ...sha256, ['md5_digest', '0'.repeat(32)]], [], /^The md5 of the file is/],
    ['a wrong blake2', [...FIELDS, ['blake2_256_digest', '0'.repeat(64)]], [], /^The blake2_256 of the file/],
    ['a wrong blake2 behind the file', FIELDS, [['blake2_256_digest', '0'.repeat(64)]], /^The blake2_256 of the file/],
    ['a digest that is none', [...FIELDS, ['sha256_digest', 'zz']], [], /^Invalid value for sha256_digest/],
    ['no digest', FIELDS, [], /^Include at least one message digest/],
    ['another action', [...without(':action'), [':action', 'submit'], ...sha256], [], /^Invalid value for :action/],
    ['no action', [...without(':action'), ...sha256], [], /^Invalid value for :action/],
    [
      'another protocol',
      [...without('protocol_version'), ['protocol_version', '2'], ...sha256],
      [],
      /Unknown protocol version/,
    ],
    [
      'another type of file',
      [...without('filetype'), ['filetype', 'bdist_egg'], ...sha256],
      [],
      /Use a known file type/,
    ],
    ['a wheel without Python version', [...without('pyversion'), ...sha256], [], /^Python version is required/],
    ['an sdist for a Python', [...without('filetype'), ['filetype', 'sdist'], ...sha256], [], /Use 'source' as Python/],
    ['no name', [...without('name'), ...sha256], [], /^Invalid value for name/],
  ])('is refused with %s, and nothing is left of it', async (_what, before, after, reason) => {
    expect(await refusal(await upload(formOf(before, after)), 400)).toMatch(reason);
  });

  it.each([
    ['a folder in the name', 'filename="a/demo-1.0-py3-none-any.whl"', /^Cannot upload a file with/],
    ['a Windows folder', 'filename="a\\demo.whl"', /^Cannot upload a file with|no file name/],
    ['no file name', 'x="y"', /has no file name/],
  ])('is refused with %s', async (_what, file, reason) => {
    expect(await refusal(await upload(formOf([...FIELDS, ...sha256], [], file)), 400)).toMatch(reason);
  });

  it('is refused without a file', async () => {
    const body = Buffer.concat([...[...FIELDS, ...sha256].map(fieldOf), Buffer.from(`--${BOUNDARY}--\r\n`)]);
    expect(await refusal(await upload(body), 400)).toBe('Upload payload does not have a file.');
  });

  it('is refused when it is too large, with a reason that the client gets to read', async () => {
    gateway.others.teach(Stages, 'admit', async () => ({ maxBytes: 1_000n }));
    expect(await refusal(await upload(formOf([...FIELDS, ...sha256])), 413)).toMatch(
      /^The file is larger than 1000 bytes/,
    );
  });

  it('is refused on its headers alone, before a byte of it is stored', async () => {
    gateway.others.teach(Stages, 'admit', async () => {
      throw new Fault('forbidden', 'alice may not upload to bob.');
    });
    expect(await refusal(await upload(formOf([...FIELDS, ...sha256]), {}, '/pypi/bob/legacy/'), 403)).toBe(
      'alice may not upload to bob.',
    );
  });

  it('asks for a token in the way that Python clients know', async () => {
    const answer = await upload(formOf([...FIELDS, ...sha256]), { Authorization: '' });
    await refusal(answer, 401);
    expect(answer.headers['www-authenticate']).toBe('Basic realm="vivarium"');
  });

  it('takes no password, and no cookie', async () => {
    const password = `Basic ${Buffer.from('alice:secret word').toString('base64')}`;
    expect(await refusal(await upload(formOf(FIELDS), { Authorization: password }), 401)).toMatch(/^Account passwords/);
    const Cookie = `vivarium=${gateway.token({ ...ALICE, credentialKind: 'session' })}`;
    await refusal(await upload(formOf(FIELDS), { Authorization: '', Cookie, 'X-Vivarium-CSRF': '1' }), 401);
  });

  it('is thrown away when it is refused at the end', async () => {
    gateway.others.teach(Stages, 'submit', async () => {
      throw new Fault('conflict', "File already exists ('demo-1.0-py3-none-any.whl'), with other bytes.");
    });
    const answer = await upload(formOf([...FIELDS, ...sha256]));
    expect([answer.status, answer.reason]).toEqual([
      409,
      'File already exists (demo-1.0-py3-none-any.whl, with other bytes). Use another version or build number, or remove that file first.',
    ]);
    expect(await gateway.stagedKeys()).toEqual([]);
  });

  it.each(['unavailable', 'internal'] as const)(
    'stays when nobody can say whether it was entered (%s), since it may be entered yet',
    async (code) => {
      gateway.others.teach(Stages, 'submit', async () => {
        throw new Fault(code, 'No answer came.');
      });
      expect((await upload(formOf([...FIELDS, ...sha256]))).status).toBe(code === 'internal' ? 500 : 503);
      expect(await gateway.stagedKeys()).toHaveLength(1);
    },
  );

  it.each(['/pypi/Alice/legacy/', '/pypi/a/legacy/', '/pypi/alice/simple/', '/pypi'])('is 404 at %s', async (path) => {
    expect((await upload(formOf([...FIELDS, ...sha256]), {}, path)).status).toBe(404);
  });
});
