import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig, SETTINGS } from './config.js';

const folder = (): string => mkdtempSync(join(tmpdir(), 'vivarium-config-'));

describe('the configuration', () => {
  it('needs nothing for everything in one process', () => {
    const config = readConfig({ DATA_DIR: folder() }, 'all');
    expect(config).toMatchObject({
      port: 8080,
      host: '127.0.0.1',
      publicUrl: 'http://127.0.0.1:8080',
      databaseUrl: undefined,
    });
    expect(config.hosts).toEqual({
      web: '127.0.0.1:8080',
      conda: 'conda.127.0.0.1:8080',
      pypi: 'pypi.127.0.0.1:8080',
      api: 'api.127.0.0.1:8080',
    });
  });

  it('makes a secret once and keeps it where only its owner reads it', () => {
    const dataDir = folder();
    const first = readConfig({ DATA_DIR: dataDir }, 'all').secret;
    expect(readConfig({ DATA_DIR: dataDir }, 'all').secret).toBe(first);
    expect(readFileSync(join(dataDir, 'secret'), 'utf8').trim()).toBe(first);
    expect(statSync(join(dataDir, 'secret')).mode & 0o777).toBe(0o600);
  });

  it('names every missing variable of a single role at once', () => {
    expect(() => readConfig({}, 'packages')).toThrow(
      'The role packages needs NATS_URL, VIVARIUM_SECRET, S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, DATABASE_URL.',
    );
  });

  it.each([
    ['PORT', '99999', 'PORT'],
    ['PUBLIC_URL', 'ftp://x', 'must be an http or https address'],
    ['VIVARIUM_SECRET', 'short', 'at least 32'],
    ['VIVARIUM_ADMIN_PASSWORD', 'short', 'at least 10'],
    ['NATS_URL', 'http://x', 'nats://'],
  ])('refuses %s=%s and says why', (name, value, sentence) => {
    expect(() => readConfig({ DATA_DIR: folder(), [name]: value }, 'all')).toThrow(sentence);
  });

  it('is all on its page, which has no other variables', () => {
    const page = readFileSync(new URL('../../../docs/settings.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| (`[A-Z].*?) \|/gm)].map(([, names = '']) => names);
    expect(rows.flatMap((names) => names.match(/[A-Z0-9_]+/g) ?? []).sort()).toEqual([...SETTINGS].sort());
  });

  it('says which folder cannot be written', () => {
    const file = join(folder(), 'file');
    writeFileSync(file, '');
    expect(() => readConfig({ DATA_DIR: join(file, 'data') }, 'all')).toThrow(
      `The folder ${join(file, 'data')} cannot be written`,
    );
  });
});
