// `npm run gen`: everything that is generated, from proto/ and the Prisma schemas, into folders called gen.
// With --check: generates in place, and fails if that changed anything, or if git has not got it.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { Complaint, isMain, repositoryRoot, runScript } from './node24.mjs';
import { runTool } from './tools.mjs';

/** Generates, and gives the generated files whose content changed, appeared or vanished. */
export function generate() {
  const before = contents();
  if (existsSync(join(repositoryRoot, 'proto', 'buf.gen.yaml'))) {
    // Formatting and breaking rules are buf's; a contract that breaks them should not be generated from.
    mustRun('buf', ['lint', 'proto']);
    mustRun('buf', ['generate', 'proto', '--template', 'proto/buf.gen.yaml']);
  }
  if (existsSync(join(repositoryRoot, 'scripts', 'prisma-generate.mjs'))) {
    mustRun('node', ['scripts/prisma-generate.mjs']);
  }
  const after = contents();
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((file) => before[file] !== after[file]);
}

function mustRun(command, args) {
  const { code, output } = runTool(command, args);
  if (code !== 0) throw new Complaint(`${output}\n${command} ${args[0]} failed (exit ${code}).`);
}

function contents() {
  const found = {};
  for (const folder of generatedFolders()) {
    for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath ?? entry.path, entry.name);
      found[relative(repositoryRoot, path)] = createHash('sha256').update(readFileSync(path)).digest('hex');
    }
  }
  return found;
}

function generatedFolders() {
  return ['libs', 'services']
    .flatMap((group) =>
      readdirSync(join(repositoryRoot, group)).map((name) => join(repositoryRoot, group, name, 'src', 'gen')),
    )
    .filter((folder) => existsSync(folder));
}

// What git sees in those folders: changed, or never added.
function uncommitted() {
  if (!existsSync(join(repositoryRoot, '.git'))) return [];
  const folders = generatedFolders().map((folder) => relative(repositoryRoot, folder));
  if (folders.length === 0) return [];
  const { code, stdout, output } = runTool('git', ['status', '--porcelain', '--untracked-files=all', '--', ...folders]);
  if (code !== 0) throw new Complaint(`git could not say whether the generated code is committed: ${output}`);
  return stdout.split('\n').filter((line) => line !== '');
}

if (isMain(import.meta.url)) {
  await runScript(async () => {
    await ensureInstalled(repositoryRoot, 'dev');
    const changed = generate();
    if (!process.argv.includes('--check')) {
      console.log(changed.length === 0 ? 'gen: nothing changed' : `gen: changed\n  ${changed.join('\n  ')}`);
      return 0;
    }
    const drift = [...changed, ...uncommitted()];
    if (drift.length === 0) return 0;
    throw new Complaint(
      `Generated code is not what is checked in; run npm run gen and commit:\n  ${drift.join('\n  ')}`,
    );
  });
}
