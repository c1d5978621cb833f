import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { jest } from '@jest/globals';
import { aCondaPackage, anSdist, aWheel, type BuiltFile, canBzip2 } from '@vivarium/testkit/builders';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { tarOf } from '@vivarium/testkit/tar-writer';
import type { Answered } from './ask.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { complaintsOf, type Exchange, Replay, recordedRuns } from './transcript.js';

jest.setTimeout(120_000);

/** Where no bzip2 is, the packages of the older format are sent in the newer one. */
const format = canBzip2() ? 'tar.bz2' : 'conda';
const runs = recordedRuns((text) => (format === 'conda' ? text.replaceAll('.tar.bz2', '.conda') : text));

const secrets = new Secrets();
let product: Product;
let replay: Replay;

beforeAll(async () => {
  product = await startProduct();
  const root = await Publisher.admin(product, secrets);
  const password = secrets.keep('password of alice', randomBytes(12).toString('hex'));
  for (const [login, secret] of [['alice', password] as const, ['bob', randomBytes(12).toString('hex')] as const]) {
    const body = { login, email: `${login}@example.org`, password: secret, superuser: false };
    await root.expectCall(201, 'POST', '/users', body);
  }
  const alice = await Publisher.signIn(product, secrets, 'alice', password);
  await alice.expectCall(201, 'POST', '/organizations', { login: 'org1' });
  replay = new Replay({ api: product.api, login: 'alice', password, files: filesOfTheRuns() });
});

afterAll(() => product?.stop());

/** Of the names that were recorded; what is in them is ours. */
function filesOfTheRuns(): ReadonlyMap<string, BuiltFile> {
  const conda = [
    aCondaPackage({ name: 'foo', version: '0.1', subdir: 'osx-64', format }),
    aCondaPackage({ name: 'mock', version: '2.0.0', build: 'py37_1000', subdir: 'osx-64' }),
    aCondaPackage({ name: 'demo', version: '1!2.0+local.1', build: 'py_3' }),
    aCondaPackage({ name: 'demo', version: '1.0', subdir: 'linux-64', format }),
    aCondaPackage({ name: 'elder', version: '1.0' }),
    aCondaPackage({ name: 'swift', version: '1.0', build: 'h1_0', subdir: 'linux-64' }),
  ];
  const members = ['DESCRIPTION', 'NAMESPACE'].map((name) => ({
    path: `rpkg/${name}`,
    bytes: name === 'NAMESPACE' ? '' : 'Package: rpkg\nVersion: 0.1\nTitle: R Title\nLicense: GPL-3\n',
  }));
  const tag = 'cp311-cp311-manylinux_2_17_x86_64';
  const others = [
    aWheel({ name: 'My.Demo_Pkg', version: '1.0' }),
    aWheel({ name: 'My.Demo_Pkg', version: '1.0+cu118', tag }),
    anSdist({ name: 'sdist', version: '1.0' }),
    aPlainFile('rpkg_0.1.tar.gz', gzipSync(tarOf(members))),
    aPlainFile('blob.bin', Buffer.alloc(0)),
  ];
  return new Map([
    ...conda.map((file) => [`${file.subdir}/${file.filename}`, file] as const),
    ...others.map((file) => [file.filename, file] as const),
  ]);
}

function aPlainFile(filename: string, bytes: Buffer): BuiltFile {
  const digestOf = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex');
  return { filename, bytes, sha256: digestOf('sha256'), md5: digestOf('md5') };
}

describe('answers as each client needs it', () => {
  // One after the other: each run finds what those before it left.
  it.each(runs.map((run) => ({ said: `${run.client}: ${run.run}`, run })))('$said', async ({ run }) => {
    expect(await replay.complaints(run)).toEqual([]);
  });
});

describe('the contract notices', () => {
  const answers: readonly [string, Partial<Exchange>, number, unknown, RegExp][] = [
    ['another status of success', { method: 'POST', path: '/package/a/p', status: 200 }, 201, {}, /201 instead of 200/],
    [
      'a key that is missing in one item',
      { status: 200, reply: ['[].login'] },
      200,
      [{ login: 'a' }, {}],
      /no \[\]\.login/,
    ],
    ['an empty list where the client had items', { status: 200, reply: ['[].login'] }, 200, [], /no \[\]\.login/],
    ['an error that is no text', { status: 404 }, 404, { error: { code: 1 } }, /no text/],
    ['an error without a sentence', { status: 404 }, 404, { message: 'm' }, /no error/],
    [
      'a number in the form of a ticket',
      { method: 'POST', path: '/stage/a/p/1/f', status: 200 },
      200,
      { post_url: 'http://h/x', form_data: { stage: 1 }, dist_id: '1' },
      /the ticket is no texts/,
    ],
    [
      'an expiry without a zone',
      { path: '/authentications', status: 200 },
      200,
      [{ expires: '2026-11-27T03:52:15', scopes: [] }],
      /has no zone/,
    ],
    ['a body where none may be', { status: 204 }, 204, {}, /a body where none may be/],
  ];

  it.each(answers)('%s', (_, asked, status, value, complaint) => {
    const exchange = { method: 'GET', path: '/x', status: 200, ...asked };
    expect(complaintsOf(exchange, answerOf(status, value)).join()).toMatch(complaint);
  });
});

function answerOf(status: number, value: unknown): Answered {
  const text = JSON.stringify(value);
  return {
    status,
    reason: '',
    headers: { 'content-type': 'application/json' },
    told: [],
    headMs: 0,
    bytes: Buffer.from(text),
    text: () => text,
    json: <T>() => value as T,
  };
}
