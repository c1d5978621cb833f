// Run while the image is built, after the build: removes from node_modules what no part of the product asks for.
// npm also installs what optional peers of a dependency name once the lockfile has it for development (Prisma's
// command line, which is bigger than the product), and the compiler and Node are not needed after this point.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isMain, repositoryRoot, runScript } from './node24.mjs';

const ONLY_TO_BUILD = new Set(['@swc/core']);

/** The paths in the lockfile (node_modules/…) that the product's packages reach, over dependencies and required peers. */
export function reachedPaths(packages) {
  const reached = new Set();
  const waiting = ['', ...ownPackages(packages)];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const name of wantedBy(packages[path], path)) {
      const found = resolvePath(packages, path, name);
      if (found === undefined || reached.has(found)) continue;
      reached.add(found);
      waiting.push(packages[found].link ? packages[found].resolved : found);
    }
  }
  return reached;
}

function ownPackages(packages) {
  return Object.keys(packages).filter((path) => /^(libs|services)\/[^/]+$/.test(path));
}

function wantedBy(entry, path) {
  const peers = Object.keys(entry.peerDependencies ?? {}).filter(
    (name) => !entry.peerDependenciesMeta?.[name]?.optional,
  );
  // The root's optional dependencies are builds of Node, of which the base image has its own.
  const optional = path === '' ? [] : Object.keys(entry.optionalDependencies ?? {});
  const names = [...Object.keys(entry.dependencies ?? {}), ...optional, ...peers];
  return path === '' ? names.filter((name) => !ONLY_TO_BUILD.has(name)) : names;
}

// As Node resolves: the nearest node_modules that holds it.
function resolvePath(packages, from, name) {
  for (let folder = from; ; folder = parentOf(folder)) {
    const candidate = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages[candidate] !== undefined) return candidate;
    if (folder === '') return undefined;
  }
}

function parentOf(path) {
  const nested = path.lastIndexOf('/node_modules/');
  return nested === -1 ? '' : path.slice(0, nested);
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    const { packages } = JSON.parse(readFileSync(join(repositoryRoot, 'package-lock.json'), 'utf8'));
    // Our own packages as they are on disk: npm accepts a lockfile that lags behind them in what they take from each other.
    for (const path of ownPackages(packages)) {
      packages[path] = JSON.parse(readFileSync(join(repositoryRoot, path, 'package.json'), 'utf8'));
    }
    const reached = reachedPaths(packages);
    const unreached = Object.keys(packages).filter(
      (path) => path.includes('node_modules/') && !reached.has(path) && !packages[path].link,
    );
    for (const path of unreached) rmSync(join(repositoryRoot, path), { recursive: true, force: true });
    rmSync(join(repositoryRoot, 'node_modules', '.bin'), { recursive: true, force: true });
    const scopes = readdirSync(join(repositoryRoot, 'node_modules')).filter((name) => name.startsWith('@'));
    for (const scope of scopes) {
      const folder = join(repositoryRoot, 'node_modules', scope);
      if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true });
    }
    console.log(`pruned: ${unreached.length} packages removed, ${reached.size} kept`);
  });
}
