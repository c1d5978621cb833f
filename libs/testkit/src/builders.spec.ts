import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { aCondaPackage, anSdist, aWheel, canBzip2 } from './builders.js';
import { runClient } from './clients.js';
import { skipSuiteUnless, skipUnless } from './missing.js';
import { hasPython, venvBin } from './programs.js';
import { tarOf } from './tar-writer.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vivarium-builders-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('builders', () => {
  it('give the same bytes for the same words', () => {
    const conda = { name: 'foo', version: '1.0', sizeBytes: 10_000 };
    expect(aCondaPackage(conda)).toEqual(aCondaPackage(conda));
    expect(aWheel(conda)).toEqual(aWheel(conda));
    expect(anSdist(conda)).toEqual(anSdist(conda));
  });

  it('name files as the ecosystems do', () => {
    const conda = aCondaPackage({ name: 'my-pkg', version: '1.0', build: 'py313_2', subdir: 'linux-64' });
    expect([conda.subdir, conda.filename]).toEqual(['linux-64', 'my-pkg-1.0-py313_2.conda']);
    expect(aWheel({ name: 'My.Pkg', version: '1.0' }).filename).toBe('my_pkg-1.0-py3-none-any.whl');
    expect(anSdist({ name: 'My.Pkg', version: '1.0' }).filename).toBe('my_pkg-1.0.tar.gz');
  });

  it('make packages as large as asked', () => {
    for (const build of [aCondaPackage, aWheel]) {
      const { bytes } = build({ name: 'big', version: '1', sizeBytes: 1_000_000 });
      expect(bytes.length).toBeGreaterThan(1_000_000);
      expect(bytes.length).toBeLessThan(1_010_000);
    }
  });
});

const python = skipSuiteUnless(
  hasPython(),
  'built packages under the real clients',
  'the Python clients are not installed',
);

python('real clients take what is built', () => {
  jest.setTimeout(60_000);
  const bin = (name: string) => venvBin(name) ?? name;

  it('rattler reads both formats, with every field and file', async () => {
    const spec = {
      name: 'foo',
      version: '1.2',
      build: 'h1_7',
      subdir: 'linux-64',
      depends: ['bar >=1'],
      runExports: { weak: ['foo >=1.2'] },
      about: { home: 'https://example.org' },
      files: { 'bin/foo': '#!/bin/sh\n', [`share/${'long/'.repeat(40)}x`]: 'long' },
    };
    for (const format of canBzip2() ? (['conda', 'tar.bz2'] as const) : (['conda'] as const)) {
      const { filename, bytes } = aCondaPackage({ ...spec, format });
      await writeFile(join(folder, filename), bytes);
      const script = `
import asyncio, json, pathlib, sys
from rattler import IndexJson, AboutJson, RunExportsJson, PathsJson
from rattler.package_streaming import extract
extract(sys.argv[1], sys.argv[2])
index = IndexJson.from_package_directory(sys.argv[2])
print(json.dumps({
  "index": [index.name.source, str(index.version), str(index.build), index.build_number, str(index.subdir), [str(one) for one in index.depends]],
  "weak": [str(one) for one in RunExportsJson.from_package_directory(sys.argv[2]).weak],
  "paths": len(PathsJson.from_package_directory(sys.argv[2]).paths),
  "long": (pathlib.Path(sys.argv[2]) / sys.argv[3]).read_text(),
}))`;
      const target = join(folder, format);
      const long = `share/${'long/'.repeat(40)}x`;
      const result = await runClient(bin('python'), ['-c', script, join(folder, filename), target, long]);
      expect([result.code, result.stderr]).toEqual([0, '']);
      expect(JSON.parse(result.stdout)).toEqual({
        index: ['foo', '1.2', 'h1_7', 7, 'linux-64', ['bar >=1']],
        weak: ['foo >=1.2'],
        paths: 2,
        long: 'long',
      });
    }
  });

  it('rattler installs a package from a channel of files', async () => {
    const { filename, bytes, sha256, md5, subdir } = aCondaPackage({ name: 'inst', version: '1.0' });
    const channel = join(folder, 'channel');
    await mkdir(join(channel, subdir), { recursive: true });
    await writeFile(join(channel, subdir, filename), bytes);
    const record = {
      name: 'inst',
      version: '1.0',
      build: '0',
      build_number: 0,
      depends: [],
      subdir,
      noarch: 'generic',
    };
    const packages = { [filename]: { ...record, sha256, md5, size: bytes.length } };
    const repodata = { info: { subdir }, packages: {}, 'packages.conda': packages, repodata_version: 1 };
    await writeFile(join(channel, subdir, 'repodata.json'), JSON.stringify(repodata));
    const script = `
import asyncio, os, sys
from rattler import solve, install
async def main():
    records = await solve(sources=[sys.argv[1]], specs=["inst"], platforms=["noarch"])
    await install(records, target_prefix=sys.argv[2])
asyncio.run(main())
# The interpreter is left at once: the extension's threads sometimes crash it on the ordinary way out.
os._exit(0)`;
    const prefix = join(folder, 'prefix');
    const result = await runClient(bin('python'), ['-c', script, `file://${channel}`, prefix]);
    expect(result).toMatchObject({ code: 0 });
    expect(await readFile(join(prefix, 'share', 'inst', 'version.txt'), 'utf8')).toBe('1.0\n');
  });

  it('pip installs the wheel and the sdist, and twine finds nothing wrong with them', async () => {
    const words = { name: 'My.Demo', version: '1.0', requiresPython: '>=3.8', requiresDist: [] as string[] };
    for (const { filename, bytes } of [
      aWheel({ ...words, description: 'A demo.' }),
      anSdist({ ...words, description: 'A demo.' }),
    ]) {
      const path = join(folder, filename);
      await writeFile(path, bytes);
      const check = await runClient(bin('twine'), ['check', path]);
      expect([check.code, check.stdout]).toEqual([0, expect.stringContaining('PASSED')]);
      const target = join(folder, `site-${filename}`);
      const parameters = ['-m', 'pip', 'install', '--no-index', '--target', target, path];
      const install = await runClient(bin('python'), parameters);
      expect([install.code, install.stderr]).toEqual([0, expect.anything()]);
      expect(await readFile(join(target, 'my_demo', '__init__.py'), 'utf8')).toContain('1.0');
    }
  });

  it('uv installs the wheel, whose RECORD it checks', async () => {
    const { filename, bytes } = aWheel({ name: 'uvdemo', version: '2', sizeBytes: 100_000 });
    await writeFile(join(folder, filename), bytes);
    const target = join(folder, 'site-uv');
    const parameters = ['pip', 'install', '--no-index', '--python', bin('python'), '--target', target];
    const result = await runClient(bin('uv'), [...parameters, join(folder, filename)]);
    expect([result.code, result.stderr]).toEqual([0, expect.stringContaining('uvdemo==2')]);
  });
});

describe('runClient', () => {
  it('keeps the home of this machine and its settings out', async () => {
    const { stdout } = await runClient(
      process.execPath,
      ['-p', 'JSON.stringify([process.env.HOME, process.env.PIP_INDEX_URL])'],
      {
        env: { SHOWN: 'x' },
      },
    );
    expect(JSON.parse(stdout)).toEqual([expect.stringContaining('vivarium-home-'), null]);
  });

  it('passes input, gives the exit code and both outputs', async () => {
    const script = 'process.stdin.pipe(process.stdout); console.error("err"); process.exitCode = 3';
    const result = await runClient(process.execPath, ['-e', script], { input: 'hello' });
    expect(result).toEqual({ code: 3, stdout: 'hello', stderr: 'err\n' });
  });

  it('ends a client that takes too long, with all that it started', async () => {
    const script = 'require("child_process").spawn("sleep", ["60"], {stdio: "inherit"}); setInterval(() => {}, 1000)';
    await expect(runClient(process.execPath, ['-e', script], { timeoutMs: 300 })).rejects.toThrow('longer than 300 ms');
  });
});

const bzip2 = skipUnless(canBzip2(), 'building .tar.bz2', 'neither bzip2 nor python3 is installed');
bzip2('a .tar.bz2 starts as one', () => {
  expect(aCondaPackage({ name: 'a', version: '1', format: 'tar.bz2' }).bytes.subarray(0, 3).toString()).toBe('BZh');
});

it('a tar archive ends with two empty blocks and is made of whole ones', () => {
  const tar = tarOf([
    { path: 'a', bytes: 'x' },
    { path: 'l', type: 'symlink', target: '../../etc/passwd' },
  ]);
  expect(tar.length % 512).toBe(0);
  expect(tar.subarray(-1024).every((byte) => byte === 0)).toBe(true);
});
