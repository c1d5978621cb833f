import { type Browser, chromium } from 'playwright-core';
import { findProgram } from './programs.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** True if this machine has a Chromium. */
export function hasBrowser(): boolean {
  return browserProgram() !== undefined;
}

/**
 * Starts this machine's Chromium without a window. It asks nobody for anything by itself, so that every request that is seen
 * comes from a page. Throws an Error if there is none; `close` ends it, and it ends with the process that started it.
 */
export async function startBrowser(): Promise<Browser> {
  const executablePath = browserProgram();
  if (executablePath === undefined) throw new Error('Chromium is not installed (.ci/install.sh does).');
  return chromium.launch({
    executablePath,
    // Its own sandbox wants rights that root in a container has not.
    args: ['--no-sandbox', '--disable-quic', '--disable-background-networking'],
    timeout: 120_000,
  });
}

function browserProgram(): string | undefined {
  return NAMES.map(findProgram).find((path) => path !== undefined);
}
