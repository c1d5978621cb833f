import { Fault } from '@vivarium/fault/fault';

// Words that NATS takes and that need no escaping; a channel's login and a label's hash fit.
const SUBJECT = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const PATTERN = /^(>|([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.>)?)$/;

/** Throws Fault('invalid') unless the text is a subject to send to: words joined by dots, no wildcard, at most 256 characters. */
export function checkSubject(subject: string): void {
  if (subject.length <= 256 && SUBJECT.test(subject)) return;
  throw new Fault(
    'invalid',
    `"${subject.slice(0, 80)}" is no subject: words of letters, digits, _ and - joined by dots.`,
  );
}

/** Throws Fault('invalid') unless the text is a subject, or one with `*` for a word or `>` at its end for the rest. */
export function checkPattern(pattern: string): void {
  if (pattern.length <= 256 && PATTERN.test(pattern)) return;
  throw new Fault(
    'invalid',
    `"${pattern.slice(0, 80)}" is no subject pattern: words, * for one, > at the end for the rest.`,
  );
}

/** True if a message to this subject is for those who listen to the pattern. Source: NATS documentation, subject-based messaging. */
export function isMatch(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const words = subject.split('.');
  if (wanted.at(-1) === '>') {
    const head = wanted.slice(0, -1);
    return words.length > head.length && head.every((word, at) => word === '*' || word === words[at]);
  }
  return words.length === wanted.length && wanted.every((word, at) => word === '*' || word === words[at]);
}

/** True if the pattern matches more than itself. */
export function isWild(pattern: string): boolean {
  return pattern.includes('*') || pattern.includes('>');
}
