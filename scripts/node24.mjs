// Which Node runs the product: the one that npm brought, so that a machine with Node 20 and npm is enough.
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OLDEST = [24, 11];

/** The folder that holds package.json. */
export const repositoryRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** True in the script that was asked to run, false where it is merely imported. */
export function isMain(moduleUrl) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(moduleUrl));
}

/**
 * The path of a Node 24 for this machine: the one in node_modules, else the running one if it is new enough.
 * Throws a Complaint that says what to do where there is neither.
 */
export function node24(root) {
  const folder = join(root, 'node_modules', `node-${packagePlatform()}-${process.arch}`, 'bin');
  const bundled = join(folder, process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(bundled)) return bundled;
  if (isNewEnough(process.versions.node)) return process.execPath;
  throw new Complaint(
    `Vivarium needs Node ${OLDEST.join('.')} or newer, and npm has none for ${process.platform} ${process.arch}: ` +
      `install Node 24 (this is ${process.versions.node}) and run the command again.`,
  );
}

/** A failure with one sentence for the person at the terminal; no stack is shown. */
export class Complaint extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Runs a script's main function: a Complaint, or a file system that says no, becomes one line and an exit code.
 * Anything else is a defect of ours and keeps its stack.
 */
export async function runScript(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (error instanceof Complaint) {
      if (error.message !== '') console.error(error.message);
      process.exitCode = error.exitCode;
      return;
    }
    if (FILE_SYSTEM_REMEDIES[error?.code] === undefined) throw error;
    console.error(`Cannot ${error.syscall ?? 'use'} ${error.path ?? 'a file'}: ${FILE_SYSTEM_REMEDIES[error.code]}.`);
    process.exitCode = 1;
  }
}

const FILE_SYSTEM_REMEDIES = {
  EACCES: 'this user may not; give it the folder (chown), or clone into a folder of its own',
  EPERM: 'this user may not; give it the folder (chown), or clone into a folder of its own',
  EROFS: 'the file system is read-only; clone into a folder that can be written',
  ENOSPC: 'the disk is full; free about 1.5 GB',
  EDQUOT: 'the disk quota is used up; free about 1.5 GB',
};

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

// The packages are called win, not win32.
function packagePlatform() {
  return process.platform === 'win32' ? 'win' : process.platform;
}
