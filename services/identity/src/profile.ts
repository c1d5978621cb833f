import { Fault } from '@vivarium/fault/fault';

/** What an account says of itself, each of it a text; what it does not say is left out. */
export type Profile = Readonly<Record<string, string>>;

const LENGTH_MAX: Readonly<Record<string, number>> = { company: 200, location: 200, description: 2_000, url: 500 };

/** The profile in a row. */
export function profileIn(value: unknown): Record<string, string> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** A profile with some of it said anew; an empty text is taken back. Throws Fault('invalid'). */
export function changeProfile(before: Profile, change: Profile): Record<string, string> {
  for (const [name, text] of Object.entries(change)) checkPart(name, text);
  return Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, text]) => text !== ''));
}

function checkPart(name: string, text: string): void {
  const max = Object.hasOwn(LENGTH_MAX, name) ? LENGTH_MAX[name] : undefined;
  if (max === undefined) throw new Fault('invalid', `"${name.slice(0, 40)}" is no part of a profile.`);
  // A description may have lines.
  const controls = name === 'description' ? /(?![\n\t])\p{Cc}/u : /\p{Cc}/u;
  if (text.length > max || controls.test(text)) {
    throw new Fault('invalid', `"${name}" has at most ${max} characters and no controls.`);
  }
  // It becomes a link on pages of ours: no `javascript:`.
  if (name === 'url' && text !== '' && !/^https?:\/\/[^\s/]+/.test(text)) {
    throw new Fault('invalid', '"url" must be an http or https address.');
  }
}
