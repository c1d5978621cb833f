import { Fault } from '@vivarium/fault/fault';
import { inCidr, isNarrowerCidr, parseCidr } from './cidr.js';
import { isNarrowerGlob, matchesGlob, normaliseGlob } from './glob.js';

export { inCidr } from './cidr.js';
export { matchesGlob } from './glob.js';

/**
 * What a token may reach at most, beside its scopes. An absent list restricts nothing; a list that is there admits only
 * what it names, so an empty one admits nothing. Expiry and number of uses are checked where a token is looked up.
 */
export interface Restrictions {
  /** Ids of channels. */
  readonly channels?: readonly string[] | undefined;
  /** Globs on the name as the kind normalises it: lower case for conda, PEP 503 for Python. */
  readonly packages?: readonly string[] | undefined;
  readonly labels?: readonly string[] | undefined;
  /** `noarch` is always admitted beside these. No meaning for Python. */
  readonly subdirs?: readonly string[] | undefined;
  /** Address blocks, IPv4 and IPv6. */
  readonly cidrs?: readonly string[] | undefined;
}

const FIELDS = ['channels', 'packages', 'labels', 'subdirs', 'cidrs'] as const;
type Field = (typeof FIELDS)[number];

const ENTRIES_LIMIT = 100;

const GRAMMAR: Record<Field, RegExp> = {
  channels: /^[A-Za-z0-9_-]{1,64}$/,
  packages: /^[A-Za-z0-9._+*?-]{1,128}$/,
  labels: /^[^\s\p{Cc}]{1,128}$/u,
  subdirs: /^[a-z0-9]{1,32}(?:-[a-z0-9_]{1,32})?$/,
  cidrs: /^[0-9A-Fa-f.:/]{2,60}$/,
};

/**
 * Restrictions from rows and messages, which have no absent lists: an empty list is none.
 * (Never ask for an empty one: `parseRestrictions` refuses it, so none is stored.)
 */
export function restrictionsOf(lists: Restrictions): Restrictions {
  return Object.fromEntries(
    FIELDS.map((field) => [field, lists[field] ?? []] as const).filter(([, l]) => l.length > 0),
  );
}

/**
 * Restrictions as somebody asks for them, in one spelling: lower case, sorted, each entry once.
 * Throws Fault('invalid') for an empty list, one of more than 100 entries, or a malformed entry.
 */
export function parseRestrictions(asked: Restrictions): Restrictions {
  const parsed: Partial<Record<Field, readonly string[]>> = {};
  for (const field of FIELDS) {
    const entries = asked[field];
    if (entries !== undefined) parsed[field] = parseEntries(field, entries);
  }
  return parsed;
}

/** True if the channel (by id) is one that the restrictions name, or they name none. */
export function admitsChannel(restrictions: Restrictions, channelId: string): boolean {
  return restrictions.channels?.includes(channelId) ?? true;
}

/** True if the label is one that the restrictions name, or they name none. */
export function admitsLabel(restrictions: Restrictions, label: string): boolean {
  return restrictions.labels?.includes(label) ?? true;
}

/** True if the subdir is one that the restrictions name, or `noarch`, or they name none. */
export function admitsSubdir(restrictions: Pick<Restrictions, 'subdirs'>, subdir: string): boolean {
  return subdir === 'noarch' || (restrictions.subdirs?.includes(subdir) ?? true);
}

/** True if the name, as its kind normalises it, matches one of the globs, or there are none. */
export function admitsName(globs: readonly string[] | undefined, name: string): boolean {
  return globs?.some((glob) => matchesGlob(glob, name)) ?? true;
}

/** True if the address lies in one of the blocks, or there are none. An unknown address lies in no block. */
export function admitsAddress(restrictions: Restrictions, address: string | undefined): boolean {
  if (restrictions.cidrs === undefined) return true;
  return address !== undefined && restrictions.cidrs.some((cidr) => inCidr(address, cidr));
}

/** True if whatever the restrictions admit, the others admit too. Both as `parseRestrictions` gives them. */
export function isNarrower(restrictions: Restrictions, than: Restrictions): boolean {
  return widerPart(restrictions, than) === null;
}

/** What the restrictions admit and the others do not, in words (`the package x*`, `every label`), or null if nothing. */
export function widerPart(restrictions: Restrictions, than: Restrictions): string | null {
  for (const field of FIELDS) {
    const [inner, outer] = [restrictions[field], than[field]];
    if (outer === undefined) continue;
    const noun = NOUNS[field];
    if (inner === undefined) return `every ${noun}`;
    const outside = inner.find((entry) => !outer.some((other) => WITHIN[field](entry, other)));
    if (outside !== undefined) return `the ${noun} ${outside}`;
  }
  return null;
}

const NOUNS: Record<Field, string> = {
  channels: 'channel',
  packages: 'package',
  labels: 'label',
  subdirs: 'subdir',
  cidrs: 'address block',
};

const EXAMPLES: Record<Field, string> = {
  channels: 'the id of a channel',
  packages: 'a name, or a pattern such as numpy or my-*',
  labels: 'a label such as main or dev',
  subdirs: 'a subdir such as linux-64',
  cidrs: '10.0.0.0/8 or 2001:db8::/32',
};

const equal = (entry: string, other: string) => entry === other;
const WITHIN: Record<Field, (entry: string, other: string) => boolean> = {
  channels: equal,
  packages: isNarrowerGlob,
  labels: equal,
  subdirs: (entry, other) => entry === other || entry === 'noarch',
  cidrs: isNarrowerCidr,
};

function parseEntries(field: Field, entries: readonly string[]): readonly string[] {
  if (entries.length === 0) {
    throw new Fault(
      'invalid',
      `the list of ${NOUNS[field]}s that a token may reach is empty; leave it out to reach all`,
    );
  }
  if (entries.length > ENTRIES_LIMIT) {
    throw new Fault('invalid', `a token names at most ${ENTRIES_LIMIT} ${NOUNS[field]}s, not ${entries.length}`);
  }
  return [...new Set(entries.map((entry) => parseEntry(field, entry)))].sort();
}

function parseEntry(field: Field, entry: string): string {
  if (!GRAMMAR[field].test(entry)) {
    throw new Fault(
      'invalid',
      `"${entry.slice(0, 64)}" names no ${NOUNS[field]} that a token may be limited to; write ${EXAMPLES[field]}`,
    );
  }
  if (field === 'packages') return normaliseGlob(entry);
  if (field === 'cidrs') parseCidr(entry);
  return field === 'channels' ? entry : entry.toLowerCase();
}
