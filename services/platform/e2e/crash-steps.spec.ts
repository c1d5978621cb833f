import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jest } from '@jest/globals';
import { STEPS, type StepName } from '@vivarium/boot/step';
import { newHome, removeHome } from '@vivarium/testkit/clients';
import { noteMissing } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { type CrashUpload, isWhileReceiving, type Owner, ownerNamed, uploadsAt } from './crash-uploads.js';
import { condaPackage } from './distributions.js';
import { condaFormats, simpleBase, simpleFormats } from './formats.js';
import { Halts, haltsIn, untilHalted } from './halts.js';
import { Publisher } from './publisher.js';
import { PYTHON_IS_HERE, PYTHON_IS_MISSING, pythonOk } from './python.js';
import { install } from './rattler.js';
import { Secrets } from './secrets.js';

jest.setTimeout(240_000);

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const NAMES = Object.keys(STEPS) as readonly StepName[];
// In the order in which an upload comes to them, the steps of its index last.
const UPLOADING = NAMES.slice(0, NAMES.indexOf('readable') + 1);
const COMMITTED_AT = NAMES.indexOf('enter-after-commit');
// Where the real client begins anew: on each side of what is noted of the bytes, of the file and of its index. It takes a
// second or two each time; at the other steps the same requests are sent.
const REAL_CLIENT_AT: ReadonlySet<StepName> = new Set([
  'receive-bytes',
  'receive-row',
  'enter-before-commit',
  'enter-after-commit',
  'swap-before-commit',
  'swap-after-commit',
]);

const secrets = new Secrets();
const halts = new Halts();
let product: Product;
let owners: Readonly<Record<'conda' | 'wheel' | 'form' | 'both', Owner>>;
let home: string;

beforeAll(async () => {
  if (!PYTHON_IS_HERE) noteMissing('anaconda upload --skip-existing after each crash', PYTHON_IS_MISSING);
  product = await startProduct({ env: halts.env });
  home = await newHome();
  if (PYTHON_IS_HERE) await pythonOk('anaconda', ['config', '--set', 'url', product.api], { home });
  const admin = await Publisher.admin(product, secrets);
  owners = {
    conda: await ownerNamed(admin, 'conda-again'),
    wheel: await ownerNamed(admin, 'wheel-again'),
    form: await ownerNamed(admin, 'wheel-by-form'),
    both: await ownerNamed(admin, 'skip-existing'),
  };
});

afterAll(async () => {
  halts.nowhere();
  await product?.stop();
  await removeHome(home);
  halts.end();
});

/** The processes that die: with one that owes an answer, who waits for it, since nobody can tell the two apart from outside. */
function dyingAt(step: StepName): readonly string[] {
  if (product.target === 'all') return ['all'];
  const roles: readonly string[] = STEPS[step];
  return roles.some((role) => role.endsWith('-index')) ? roles : [...new Set(['gateway', ...roles])];
}

async function kill(names: readonly string[]): Promise<void> {
  const ends = await Promise.all(names.map((name) => product.end(name, 'SIGKILL')));
  expect(ends.flat().map(({ signal }) => signal)).toEqual(names.map(() => 'SIGKILL'));
}

const shown = (uploads: readonly CrashUpload[]) =>
  Promise.all(uploads.map(async (upload) => [upload.file.basename, upload.channel, await upload.shown()]));

const everywhere = (uploads: readonly CrashUpload[]) =>
  uploads.map(({ file, channel }) => [file.basename, channel, 'everywhere']);

it('knows every step where it stands, and the roles in which it does', () => {
  const found: Record<string, Set<string>> = {};
  for (const [folder, roles] of sources()) {
    for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!/^[^.]*\.ts$/.test(path)) continue;
      for (const [, step = ''] of readFileSync(join(folder, path), 'utf8').matchAll(/reached\('([a-z-]+)'\)/g)) {
        for (const role of roles) found[step] = (found[step] ?? new Set()).add(role);
      }
    }
  }
  expect(found).toEqual(Object.fromEntries(NAMES.map((step) => [step, new Set(STEPS[step])])));
});

/** A folder with sources → the roles that run them. */
function sources(): readonly (readonly [string, readonly string[]])[] {
  const services = readdirSync(join(ROOT, 'services')).filter((name) =>
    existsSync(join(ROOT, 'services', name, 'src')),
  );
  return [
    ...services.map((name) => [join(ROOT, 'services', name, 'src'), [name]] as const),
    [join(ROOT, 'libs', 'indexing', 'src'), ['conda-index', 'pypi-index']],
  ];
}

const isIndexing = (step: StepName) => STEPS[step].some((role) => role === 'conda-index' || role === 'pypi-index');

describe.each(UPLOADING)('killed at %s', (step) => {
  let uploads: readonly CrashUpload[];

  beforeAll(async () => {
    uploads = uploadsAt(step, product, owners, PYTHON_IS_HERE && REAL_CLIENT_AT.has(step) ? home : undefined);
    await Promise.all(uploads.map((upload) => upload.prepare()));
    const before = haltsIn(product.logs(), step);
    halts.at(step);
    const running = Promise.all(uploads.map((upload) => upload.run()));
    running.catch(() => undefined);
    await untilHalted(step, haltsOf(step, uploads), () => haltsIn(product.logs(), step) - before);
    await kill(dyingAt(step));
    halts.nowhere();
    await product.start();
    await running;
  });

  it('loses nothing that was acknowledged, and shows the rest wholly or not at all', async () => {
    const found = await shown(uploads);
    // The transaction that enters a file is the one line that counts. Two that share a channel may be on either side of it.
    const isEntered = NAMES.indexOf(step) >= COMMITTED_AT;
    expect(found).toEqual(
      uploads.map(({ file, channel, isAcknowledged }) => {
        const isAlone = channel !== 'skip-existing';
        if (isAcknowledged || (isAlone && isEntered)) return [file.basename, channel, 'everywhere'];
        return [file.basename, channel, isAlone ? 'nowhere' : expect.stringMatching(/^(?:everywhere|nowhere)$/)];
      }),
    );
    // Who waits for an index is answered after a while without it. Else nobody can answer for a process that is gone.
    const hasAnswer = uploads.some(({ isAcknowledged }) => isAcknowledged);
    expect(hasAnswer && !isIndexing(step)).toBe(false);
  });

  it('takes the same upload again, and has it everywhere', async () => {
    await Promise.all(uploads.map((upload) => upload.repeat()));
    expect(await shown(uploads)).toEqual(everywhere(uploads));
  });
});

/** How many stand still: all uploads, unless they wait for each other; each channel in each index. */
function haltsOf(step: StepName, uploads: readonly CrashUpload[]): number {
  const channels = new Set(uploads.map(({ channel }) => channel)).size;
  if (isIndexing(step)) return channels * STEPS[step].length;
  return step === 'enter-before-commit' ? channels : uploads.length;
}

it('refuses a token whose revocation was committed when its process was killed', async () => {
  const step = 'revoke-after-commit';
  const { publisher } = owners.conda;
  const token = secrets.keep('token to revoke', await publisher.makeToken({ name: 'to revoke' }));
  const url = `${product.url}/t/${token}/conda-again/noarch/repodata.json`;
  expect((await ask(url)).status).toBe(200);
  halts.at(step);
  const revoking = publisher.removeToken('to revoke').then(
    () => 'answered',
    () => 'broken off',
  );
  await untilHalted(step, 1, () => haltsIn(product.logs(), step));
  await kill(dyingAt(step));
  halts.nowhere();
  await product.start();
  expect(await revoking).toBe('broken off');
  expect((await ask(url)).status).toBe(401);
  expect((await publisher.call('DELETE', '/authentications/name/to%20revoke')).status).toBe(404);
  await publisher.upload(condaPackage({ name: 'after-revocation', version: '1.0' }));
  expect((await condaFormats({ product, channel: 'conda-again' })).shards).toContain('after-revocation-1.0-0.conda');
});

it('leaves the steps of other things to tests of their own', () => {
  const specs = readdirSync(HERE).filter((name) => name.endsWith('.spec.ts'));
  const texts = specs.map((name) => readFileSync(join(HERE, name), 'utf8')).join('');
  const others = NAMES.filter((step) => !UPLOADING.includes(step));
  expect(others.filter((step) => !texts.includes(`'${step}'`))).toEqual([]);
});

describe('after all of that', () => {
  it('has every file in every format, for real clients too', async () => {
    for (const [channel, prefix] of [
      ['conda-again', 'again'],
      ['skip-existing', 'skip'],
    ] as const) {
      const names = UPLOADING.map((step) => `${prefix}-${step}`);
      const files = names.map((name) => `${name}-1.0-0.conda`).sort();
      const { json, ...others } = await condaFormats({ product, channel });
      expect(json).toEqual(expect.arrayContaining(files));
      for (const listed of Object.values(others)) expect(listed).toEqual(json);
      expect(await install(names, `${product.conda}/${channel}`)).toHaveLength(names.length);
    }
    for (const [channel, prefix] of [
      ['wheel-again', 'again'],
      ['wheel-by-form', 'form'],
      ['skip-existing', 'skip-py'],
    ] as const) {
      const names = UPLOADING.filter((step) => prefix !== 'form' || !isWhileReceiving(step)).map(
        (step) => `${prefix}-${step}`,
      );
      const formats = await simpleFormats({ product, channel });
      expect([formats['root html'], formats['root json']]).toEqual([[...names].sort(), [...names].sort()]);
      const files = names.map((name) => `${name.replaceAll('-', '_')}-1.0-py3-none-any.whl`).sort();
      expect([formats['pages html'], formats['pages json']]).toEqual([files, files]);
      if (!PYTHON_IS_HERE) continue;
      const index = ['--index-url', `${simpleBase({ product, channel })}/`, '--no-cache-dir', '--no-deps'];
      await pythonOk('pip', ['download', '-q', ...index, '-d', join(home, channel), ...names], { home });
      expect(readdirSync(join(home, channel)).sort()).toEqual(files);
    }
  });

  it('has no difference for vivarium fsck, before and after vivarium sweep has taken what was left behind', async () => {
    const check = async () => {
      const { code, stdout } = await product.command(['fsck', '--bytes']);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/: 0 differences\n$/)]);
    };
    await check();
    expect(await product.command(['sweep', '--grace', '0'])).toMatchObject({ code: 0, stderr: '' });
    await check();
    expect((await condaFormats({ product, channel: 'conda-again' })).zst).toContain('again-inspect-1.0-0.conda');
  });

  it('has told none of the secrets in its output', () => {
    expect(secrets.toldBy(product)).toEqual([]);
  });
});
