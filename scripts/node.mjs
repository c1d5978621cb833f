// `node scripts/node.mjs FILE …`: installs and builds what is missing, then runs FILE under Node 24.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { ensureInstalled } from './install.mjs';
import { launch } from './launch.mjs';
import { Complaint, repositoryRoot, runScript } from './node24.mjs';

await runScript(async () => {
  const [file, ...args] = process.argv.slice(2);
  if (file === undefined) throw new Complaint('Which file? Usage: node scripts/node.mjs FILE [ARGUMENTS]');
  await ensureInstalled(repositoryRoot, file.startsWith('services/') ? 'prod' : 'dev');
  await build(repositoryRoot);
  if (!existsSync(join(repositoryRoot, file))) throw new Complaint(`${file} does not exist (yet): nothing to run.`);
  return launch(repositoryRoot, [file, ...args]);
});
