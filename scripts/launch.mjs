// Starts a Node 24 in the foreground and stays its faithful front: same output, same signals, same exit code.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Complaint, node24 } from './node24.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const ONE_KEYSTROKE_MS = 1000;

/**
 * Runs `node ...args` under Node 24 in `root` and gives its exit code (128 + the number of the signal that ended it).
 * Each signal is passed on once: a terminal sends Ctrl-C to npm and to us, and npm sends it to us again.
 */
export function launch(root, args, { env = {}, timeoutMs } = {}) {
  const leash = pathToFileURL(join(root, 'scripts', 'leash.mjs')).href;
  const child = spawn(node24(root), ['--import', leash, ...args], {
    cwd: root,
    env: { ...process.env, ...env, VIVARIUM_LAUNCHER: String(process.pid) },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    // A group of its own, so that a terminal's Ctrl-C arrives only through us.
    detached: process.platform !== 'win32',
  });
  const lastSeen = new Map();
  const forward = (signal) => {
    const now = Date.now();
    if (now - (lastSeen.get(signal) ?? Number.NEGATIVE_INFINITY) < ONE_KEYSTROKE_MS) return;
    lastSeen.set(signal, now);
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, forward);
  let late = false;
  const deadline =
    timeoutMs &&
    setTimeout(() => {
      late = true;
      killGroup(child);
    }, timeoutMs);
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Complaint(`Node could not be started: ${error.message}`)));
    child.on('exit', (code, signal) => {
      clearTimeout(deadline);
      for (const each of SIGNALS) process.off(each, forward);
      if (late) reject(new Complaint(`${args.join(' ')} was stopped: it took longer than ${timeoutMs / 1000} s.`));
      else resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

function killGroup(child) {
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
