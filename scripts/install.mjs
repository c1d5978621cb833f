// Brings node_modules in line with package-lock.json, when it is not.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Complaint } from './node24.mjs';

const STAMP = join('node_modules', '.vivarium-install');
const NPMS_OWN_RECORD = join('node_modules', '.package-lock.json');
const SECONDS_BETWEEN_SIGNS_OF_LIFE = 15;

/**
 * Installs what is missing, as `npm ci` does. `mode` is 'prod' (what runs) or 'dev' (what tests need too).
 * A development install satisfies both, and is never shrunk. Throws a Complaint when npm fails or is interrupted.
 */
export async function ensureInstalled(root, mode) {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex');
  if (stampSatisfies(root, hash, mode)) return;
  // A developer's own `npm install` leaves no stamp of ours, and must not be thrown away for want of one.
  if (!recordSatisfies(root, JSON.parse(lock.toString('utf8')), mode)) {
    accessSync(root, constants.W_OK);
    await install(root, mode);
  }
  writeFileSync(join(root, STAMP), `${JSON.stringify({ lock: hash, mode })}\n`);
}

function stampSatisfies(root, hash, mode) {
  if (!existsSync(join(root, STAMP))) return false;
  const stamp = readJson(join(root, STAMP));
  return stamp?.lock === hash && (stamp.mode === mode || stamp.mode === 'dev');
}

// npm writes this record last, so after an interrupted install it is absent or old.
function recordSatisfies(root, lock, mode) {
  if (!existsSync(join(root, NPMS_OWN_RECORD))) return false;
  const installed = readJson(join(root, NPMS_OWN_RECORD))?.packages ?? {};
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (path === '' || wanted.optional || wanted.devOptional || (mode === 'prod' && wanted.dev)) return true;
    const present = installed[path];
    return present?.version === wanted.version && present?.integrity === wanted.integrity;
  });
}

async function install(root, mode) {
  const [what, size] = mode === 'prod' ? ['what Vivarium runs on', '0.7 GB'] : ['what the tests need', '1.2 GB'];
  console.log(`Installing ${what} (about ${size} in node_modules; this takes a minute or two, once).`);
  const started = Date.now();
  const signOfLife = setInterval(
    () => console.log(`… still installing (${secondsSince(started)} s)`),
    SECONDS_BETWEEN_SIGNS_OF_LIFE * 1000,
  );
  try {
    const { code, output } = await npm(root, mode === 'prod' ? ['ci', '--omit=dev'] : ['ci', '--include=dev']);
    if (code !== 0) throw new Complaint(`${lastLines(output)}\nnpm could not install the packages (see above).`);
  } finally {
    clearInterval(signOfLife);
  }
  console.log(`Installed in ${secondsSince(started)} s.`);
}

function npm(root, args) {
  // The npm that runs us is the npm of this machine; run directly, we take the one on PATH.
  const cli = process.env.npm_execpath;
  const isNpm = cli !== undefined && /npm-cli\.c?js$/.test(cli);
  const [command, first] = isNpm ? [process.execPath, [cli]] : ['npm', []];
  const child = spawn(command, [...first, ...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: !isNpm && process.platform === 'win32',
    // A production flag in the caller's environment would leave the tests without their tools.
    env: { ...process.env, NODE_ENV: '' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output = (output + chunk).slice(-20_000);
    });
  }
  return new Promise((resolve, reject) => {
    let interrupted = 0;
    const stop = (signal) => {
      interrupted = signal === 'SIGINT' ? 130 : 143;
      // Asked politely, npm rolls back for a minute. A half-made folder does no harm: the next install begins with removing it.
      child.kill('SIGKILL');
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    child.on('error', (error) => reject(new Complaint(`npm could not be started: ${error.message}`)));
    child.on('close', (code) => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      if (interrupted !== 0) reject(new Complaint('', interrupted));
      else resolve({ code, output });
    });
  });
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function lastLines(text) {
  return text.trimEnd().split('\n').slice(-25).join('\n');
}

function secondsSince(started) {
  return Math.round((Date.now() - started) / 1000);
}
