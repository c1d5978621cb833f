// `node scripts/typecheck.mjs [FOLDER]`: the types of one package, or of the whole repository.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { repositoryRoot, runScript } from './node24.mjs';
import { runTool } from './tools.mjs';

await runScript(async () => {
  await ensureInstalled(repositoryRoot, 'dev');
  const folder = process.argv[2];
  return runTool('tsc', ['-p', folder === undefined ? '.' : projectFor(folder)], { show: true }).code;
});

// tsc takes a project or files, not both, so one package needs a project file: made here rather than kept in each.
function projectFor(folder) {
  const home = join(repositoryRoot, '.cache', 'typecheck');
  const up = relative(home, repositoryRoot).replaceAll('\\', '/');
  const project = join(home, `${folder.replaceAll(/[\\/]/g, '-')}.json`);
  const include = ['src', 'e2e'].map((part) => `${up}/${folder}/${part}/**/*.ts`);
  mkdirSync(home, { recursive: true });
  writeFileSync(
    project,
    JSON.stringify({
      extends: `${up}/tsconfig.base.json`,
      compilerOptions: { typeRoots: [`${up}/node_modules/@types`] },
      include,
    }),
  );
  return project;
}
