import { Fault } from '@vivarium/fault/fault';
import { tokensIn } from '@vivarium/token/find';
import { OPERATOR } from './create-user.js';
import type { Db } from './db.js';
import { type LeakRules, notAll, revokeFound } from './revoke-leaked.js';

const BATCH = 100;

/**
 * Ends every token in a text, a log or a list, on the operator's word, and tells whose they are; servers that run hear of it
 * within a second. Throws Fault('invalid') if there is none in it, Fault('unavailable') if some could not be ended.
 */
export async function revokeInText(
  rules: LeakRules,
  db: Db,
  text: string,
): Promise<{ readonly found: number; readonly revoked: number }> {
  const leaked = tokensIn(text).map(({ sha256 }) => ({ tokenSha256: Buffer.from(sha256, 'hex'), url: '', source: '' }));
  if (leaked.length === 0) throw new Fault('invalid', 'There is no whole token in this text; was it cut when copied?');
  let revoked = 0;
  for (let at = 0; at < leaked.length; at += BATCH) {
    const done = await revokeFound(rules, db, leaked.slice(at, at + BATCH), OPERATOR);
    revoked += done.revoked;
    if (done.failures.length > 0) throw notAll(done.failures);
  }
  return { found: leaked.length, revoked };
}
