import { appendFileSync, readFileSync } from 'node:fs';

/**
 * Notes that something could not be tested here, and why. The note is a line `what: why` in the file that the environment
 * variable VIVARIUM_SKIPS names; without it the note goes to standard error at once, so that it is never lost.
 */
export function noteMissing(what: string, why: string): void {
  const line = `${what}: ${why}`;
  const file = process.env.VIVARIUM_SKIPS;
  if (file === undefined) process.stderr.write(`not run here: ${line}\n`);
  else appendFileSync(file, `${line}\n`);
}

/** The notes in a file written by `noteMissing`, each once, in order of first appearance; none if there is no such file. */
export function missingIn(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return [...new Set(text.split('\n').filter((line) => line !== ''))];
}

/**
 * `it` if the condition holds, else `it.skip` with a note of what could not be tested and why.
 * Use it at the top of a suite: `const redis = skipUnless(found, 'counters on redis', 'redis-server is not installed')`.
 */
export function skipUnless(condition: boolean, what: string, why: string): jest.It {
  if (condition) return it;
  noteMissing(what, why);
  return it.skip;
}

/** As `skipUnless`, for whole `describe` blocks. */
export function skipSuiteUnless(condition: boolean, what: string, why: string): jest.Describe {
  if (condition) return describe;
  noteMissing(what, why);
  return describe.skip;
}
