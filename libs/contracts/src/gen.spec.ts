import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('the generated contracts', () => {
  it('are what proto/ says today (npm run gen makes them so)', () => {
    const scratch = mkdtempSync(join(tmpdir(), 'vivarium-gen-'));
    try {
      buf('generate', 'proto', '--template', 'proto/buf.gen.yaml', '--output', scratch);
      expect(filesUnder(join(root, 'libs/contracts/src/gen'))).toEqual(
        filesUnder(join(scratch, 'libs/contracts/src/gen')),
      );
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });

  it('keep to the rules of naming', () => {
    expect(() => buf('lint', 'proto')).not.toThrow();
  });
});

function buf(...args: string[]): void {
  const bin = join(root, 'node_modules/.bin');
  execFileSync(join(bin, 'buf'), args, { cwd: root, env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } });
}

function filesUnder(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path.slice(folder.length), readFileSync(path, 'utf8')]),
  );
}
