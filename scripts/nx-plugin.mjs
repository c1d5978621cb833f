// Gives every workspace package the same four targets, so that no package needs a project.json.
// Nx is for those who want its cache and graph; the npm scripts do not go through it.
import { dirname } from 'node:path';

const AT_ROOT = '{workspaceRoot}';
const JEST = 'node --disable-warning=ExperimentalWarning --experimental-vm-modules node_modules/jest/bin/jest.js';

const target = (command, inputs, outputs = []) => ({
  executor: 'nx:run-commands',
  cache: true,
  inputs,
  outputs,
  options: { command, cwd: AT_ROOT },
});

function targetsOf(folder) {
  return {
    build: target(`node scripts/build.mjs ${folder}`, ['product'], [`${AT_ROOT}/${folder}/dist`]),
    test: target(`${JEST} ${folder}/ --passWithNoTests`, ['default', '^product']),
    lint: target(`biome check ${folder}`, ['default']),
    typecheck: target(`node scripts/typecheck.mjs ${folder}`, ['default', '^product']),
  };
}

export const name = 'vivarium';

export const createNodesV2 = [
  '{libs,services}/*/package.json',
  (files) =>
    files.map((file) => {
      const folder = dirname(file);
      return [file, { projects: { [folder]: { targets: targetsOf(folder) } } }];
    }),
];
