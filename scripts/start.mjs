// `npm start`: the whole product in one process, on a machine with nothing but Node and npm.
import { build } from './build.mjs';
import { ensureInstalled } from './install.mjs';
import { launch } from './launch.mjs';
import { repositoryRoot, runScript } from './node24.mjs';

// Traces need their hook before the first import; it does nothing unless an endpoint is configured.
const NODE_FLAGS = ['--import', './services/platform/dist/telemetry-hook.js'];

await runScript(async () => {
  await ensureInstalled(repositoryRoot, 'prod');
  await build(repositoryRoot);
  return launch(repositoryRoot, [...NODE_FLAGS, 'services/platform/dist/main.js', 'all', ...process.argv.slice(2)]);
});
