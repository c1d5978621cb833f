import { keepsRecord, recordSaid, recordSecret } from '@vivarium/testkit/run-record';

const known = new Set<string>();
const LIMIT_BYTES = 1_000_000;

/** What the product hands out on purpose: tokens in answers that make them, sessions, tickets. */
const HANDED_OUT: readonly (readonly [string, RegExp])[] = [
  ['token', /"token":\s*"([^"]+)"/g],
  // What stands before is the id of the stage, which its owner may know; behind it is what proves it.
  ['ticket', /\/-\/upload\/\w+-(\w+)/g],
  ['session', /^set-cookie: (?:__Host-)?vivarium=([^;]+)/gim],
];

/**
 * Notes an answer for the search at the end of the run: of one that gives what was asked for, the secrets that it hands out;
 * of one that refuses, all that it says.
 */
export function recordAnswer(status: number, head: readonly string[], bytes: Buffer): void {
  if (!keepsRecord() || bytes.length > LIMIT_BYTES) return;
  const text = `${head.join('\n')}\n${bytes.toString('utf8')}`;
  if (status >= 400) {
    if (known.has(text)) return;
    known.add(text);
    recordSaid('answers', head[0] ?? '', text);
    return;
  }
  for (const [name, pattern] of HANDED_OUT) {
    for (const [, secret = ''] of text.matchAll(pattern)) {
      if (known.has(secret)) continue;
      known.add(secret);
      recordSecret(`${name} that was handed out`, secret);
    }
  }
}
