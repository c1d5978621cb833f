// Compiles src/ of every package to dist/, and only what has changed since the last time.
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Complaint, isMain, repositoryRoot, runScript } from './node24.mjs';
import { swcOptions } from './swc-options.mjs';

const MANIFEST = '.build.json';
const SKIPPED_FOLDERS = new Set(['fixtures', '__snapshots__', 'node_modules', 'dist']);
const PARALLEL = 16;

/**
 * Builds the packages (all of libs/ and services/, and bench/, unless folders are named) and gives
 * how many files were written and removed. Safe to run twice at once: each output appears whole.
 */
export async function build(root, folders = packageFolders(root)) {
  const config = configHash(root);
  const plans = folders.map((folder) => plan(root, folder, config)).filter((each) => each !== undefined);
  const compile = plans.some(({ stale }) => stale.some(isTypeScript)) ? await compiler() : undefined;
  let removed = 0;
  for (const each of plans) {
    await inParallel(each.stale, (name) => emit(each, name, compile));
    for (const name of each.gone) removed += remove(each, name);
    writeWhole(join(each.dist, MANIFEST), JSON.stringify({ config, files: each.files }));
  }
  return { written: plans.reduce((sum, { stale }) => sum + stale.length, 0), removed };
}

function packageFolders(root) {
  const folders = ['libs', 'services'].flatMap((group) =>
    existsSync(join(root, group)) ? readdirSync(join(root, group)).map((name) => join(group, name)) : [],
  );
  return [...folders, 'bench'].filter((folder) => existsSync(join(root, folder)));
}

// bench/ is no package: its sources lie at its top.
function plan(root, folder, config) {
  const source = folder === 'bench' ? join(root, folder) : join(root, folder, 'src');
  const dist = join(root, folder, 'dist');
  const files = existsSync(source) ? sourcesIn(source) : {};
  const before = manifestOf(dist);
  const known = before.config === config ? before.files : {};
  const stale = Object.keys(files).filter((name) => known[name] !== files[name]);
  const gone = Object.keys(before.files).filter((name) => files[name] === undefined);
  if (stale.length === 0 && gone.length === 0) return undefined;
  return { source, dist, files, stale, gone };
}

function sourcesIn(folder, top = folder, found = {}) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED_FOLDERS.has(entry.name)) sourcesIn(path, top, found);
    } else if (isWanted(entry.name)) {
      const { mtimeMs, size } = statSync(path);
      found[relative(top, path)] = `${mtimeMs}:${size}`;
    }
  }
  return found;
}

// Sources, and what they read at run time: tables, SQL, pages. Not tests, and not what only people read.
function isWanted(name) {
  return !/\.(spec\.ts|d\.ts|md|snap)$/.test(name) && !name.startsWith('.');
}

function isTypeScript(name) {
  return name.endsWith('.ts');
}

function outputOf(dist, name) {
  return join(dist, isTypeScript(name) ? name.replace(/\.ts$/, '.js') : name);
}

async function emit({ source, dist }, name, compile) {
  const output = outputOf(dist, name);
  mkdirSync(dirname(output), { recursive: true });
  if (!isTypeScript(name)) {
    copyFileSync(join(source, name), `${output}.${process.pid}`);
    renameSync(`${output}.${process.pid}`, output);
    return;
  }
  const { code, map } = await compile(join(source, name), output);
  writeWhole(`${output}.map`, map);
  writeWhole(output, `${code}\n//# sourceMappingURL=${output.split(/[\\/]/).at(-1)}.map\n`);
}

function remove({ dist }, name) {
  const output = outputOf(dist, name);
  rmSync(output, { force: true });
  rmSync(`${output}.map`, { force: true });
  return 1;
}

// Loaded only when something is stale: a warm start should not pay for a compiler.
async function compiler() {
  const { transform } = await import('@swc/core');
  return async (path, output) => {
    try {
      return await transform(readFileSync(path, 'utf8'), {
        ...swcOptions,
        filename: path,
        sourceFileName: relative(dirname(output), path),
        swcrc: false,
        configFile: false,
        sourceMaps: true,
      });
    } catch (error) {
      throw new Complaint(`${path} does not compile: ${error.message}`);
    }
  };
}

async function inParallel(names, work) {
  const waiting = names.values();
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      for (const name of waiting) await work(name);
    }),
  );
}

function configHash(root) {
  const hash = createHash('sha256').update(JSON.stringify(swcOptions));
  for (const file of ['node_modules/@swc/core/package.json', 'scripts/build.mjs'])
    hash.update(readFileSync(join(root, file)));
  return hash.digest('hex').slice(0, 16);
}

function manifestOf(dist) {
  try {
    return JSON.parse(readFileSync(join(dist, MANIFEST), 'utf8'));
  } catch {
    return { config: '', files: {} };
  }
}

function writeWhole(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}`, text);
  renameSync(`${path}.${process.pid}`, path);
}

if (isMain(import.meta.url)) {
  await runScript(async () => {
    const started = Date.now();
    const { written, removed } = await build(
      repositoryRoot,
      process.argv.length > 2 ? process.argv.slice(2) : undefined,
    );
    console.log(`built: ${written} written, ${removed} removed, ${Date.now() - started} ms`);
  });
}
