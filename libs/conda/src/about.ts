const TEXTS = ['description', 'license', 'license_family', 'summary'] as const;
const ADDRESSES = ['dev_url', 'doc_source_url', 'doc_url', 'home', 'source_git_url', 'source_url'] as const;
const WORDS = ['identifiers', 'keywords', 'tags'] as const;
const MAX_CHARACTERS = { description: 2_000, summary: 1_000, license: 500, license_family: 100 } as const;
const MAX_ADDRESS_CHARACTERS = 500;
const MAX_WORD_CHARACTERS = 100;
const MAX_ENTRIES = 20;

/** What a package says of itself to people: texts, web addresses (one or several), words. */
export type About = {
  readonly [key in (typeof TEXTS)[number] | (typeof ADDRESSES)[number] | (typeof WORDS)[number]]?:
    | string
    | readonly string[];
};

/**
 * The part of an `info/about.json` that channeldata.json shows, with sorted keys. Nothing in it makes a package unusable, so
 * what is no text, no web address or too long is left out or cut, and never refused. Source: CEP-34, CEP-38.
 */
export function aboutOf(about: Readonly<Record<string, unknown>> | undefined): About {
  if (about === undefined) return {};
  const texts = TEXTS.map((key) => [key, textOf(about[key], MAX_CHARACTERS[key])] as const);
  const addresses = ADDRESSES.map((key) => [key, oneOrMany(listOf(about[key]).filter(isWebAddress))] as const);
  const words = WORDS.map((key) => [key, wordsOf(about[key])] as const);
  const said = [...texts, ...addresses, ...words].filter(([, value]) => value !== undefined);
  return Object.fromEntries(said.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function textOf(value: unknown, maxCharacters: number): string | undefined {
  if (typeof value !== 'string') return undefined;
  // The database keeps no NUL, and half a pair of surrogates is no text.
  const text = value.replaceAll('\u0000', '').slice(0, maxCharacters).toWellFormed();
  return text === '' ? undefined : text;
}

function listOf(value: unknown): readonly string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((each) => typeof each === 'string').slice(0, MAX_ENTRIES);
}

// Pages make links of them: nothing but the two schemes of the web.
function isWebAddress(text: string): boolean {
  return text.length <= MAX_ADDRESS_CHARACTERS && /^https?:\/\/[!-~]+$/i.test(text);
}

function oneOrMany(list: readonly string[]): string | readonly string[] | undefined {
  return list.length > 1 ? list : list[0];
}

function wordsOf(value: unknown): readonly string[] | undefined {
  const words = listOf(value).flatMap((each) => textOf(each, MAX_WORD_CHARACTERS) ?? []);
  return words.length === 0 ? undefined : words;
}
