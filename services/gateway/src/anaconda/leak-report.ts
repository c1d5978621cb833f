import { Fault } from '@vivarium/fault/fault';
import { tokensIn } from '@vivarium/token/find';
import { redactTokens } from '@vivarium/token/redact';
import { isObject } from './json-body.js';

const TOKENS_MAX = 100;
const TEXT_LENGTH_MAX = 1_000;
const URL_LENGTH_MAX = 2_000;
const SOURCE_LENGTH_MAX = 100;
const DECODINGS_MAX = 5;

/** A token by its digest, and what may be kept of where it was found. */
export interface Leaked {
  readonly tokenSha256: Buffer;
  readonly url: string;
  readonly source: string;
}

export interface LeakReport {
  /** Each token once. */
  readonly leaked: readonly Leaked[];
  /** How many entries there were. */
  readonly received: number;
  /** Which of them, from 0, hold nothing of the form of a token. */
  readonly malformed: readonly number[];
}

/**
 * Reads what a scanner or a person reports: a list of `{token, url?, source?}`, or `{tokens: [...]}`. A token may stand in a
 * text, as in an address. Throws Fault('invalid') for what is no such list, for one of nothing but what cannot be a token,
 * and for more than 100; no sentence repeats what was sent, which may be a secret whatever its form.
 */
export function parseLeakReport(body: unknown): LeakReport {
  const entries = entriesIn(body);
  const leaked = new Map<string, Leaked>();
  const malformed: number[] = [];
  for (const [at, entry] of entries.entries()) {
    const { text, url, source } = parseEntry(entry, `tokens[${at}]`);
    const tokens = tokensIn(text);
    if (tokens.length === 0) malformed.push(at);
    for (const { sha256 } of tokens) {
      if (!leaked.has(sha256)) leaked.set(sha256, { tokenSha256: Buffer.from(sha256, 'hex'), url, source });
    }
  }
  if (leaked.size > TOKENS_MAX) throw tooMany(leaked.size);
  if (leaked.size > 0) return { leaked: [...leaked.values()], received: entries.length, malformed };
  // Told apart by form alone, as anybody can.
  throw new Fault(
    'invalid',
    'None of this is a token of this server: "viv-", 32 letters and digits, "-" and 6 more. Check that it was copied whole.',
  );
}

function entriesIn(body: unknown): readonly unknown[] {
  const entries = isObject(body) && Object.hasOwn(body, 'tokens') ? body.tokens : body;
  if (!Array.isArray(entries) || entries.length === 0) {
    throw new Fault('invalid', 'Send a list of what was found, each as {"token": "…", "url": "…"}, or it as "tokens".');
  }
  if (entries.length > TOKENS_MAX) throw tooMany(entries.length);
  return entries;
}

function parseEntry(entry: unknown, which: string) {
  if (!isObject(entry)) throw new Fault('invalid', `${which} must be an object with a "token".`);
  const text = textIn(entry, 'token', which, TEXT_LENGTH_MAX);
  if (text === '') throw new Fault('invalid', `${which}.token is missing.`);
  const url = foundAt(textIn(entry, 'url', which, URL_LENGTH_MAX), which);
  const source = printable(textIn(entry, 'source', which, SOURCE_LENGTH_MAX));
  return { text, url, source };
}

function textIn(entry: Readonly<Record<string, unknown>>, name: string, which: string, lengthMax: number): string {
  const value = Object.hasOwn(entry, name) ? (entry[name] ?? '') : '';
  if (typeof value === 'string' && value.length <= lengthMax) return value;
  throw new Fault(
    'invalid',
    `${which}.${name} must be a text of at most ${lengthMax.toLocaleString('en')} characters.`,
  );
}

/**
 * What may be kept of the address: no user or password, and no token in whatever encoding. Often it is the address that the
 * token leaked in. Nobody opens it here.
 */
function foundAt(text: string, which: string): string {
  if (text === '') return '';
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new Fault('invalid', `${which}.url must be an address that begins with https:// or http://.`);
  }
  url.username = '';
  url.password = '';
  const shown = redactTokens(url.href);
  return (isClean(shown) ? shown : redactTokens(url.origin)).slice(0, URL_LENGTH_MAX);
}

/** True if no token comes out however often it is decoded. */
function isClean(shown: string): boolean {
  let text = shown;
  for (let times = 0; times < DECODINGS_MAX; times++) {
    const decoded = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (redactTokens(decoded) !== decoded) return false;
    if (decoded === text) return true;
    text = decoded;
  }
  return false;
}

/** For people to read: one line, and nothing that only seems to be one. */
function printable(text: string): string {
  return redactTokens(text.replace(/\p{C}/gu, ' ').trim().toWellFormed()).slice(0, SOURCE_LENGTH_MAX);
}

function tooMany(count: number): Fault {
  return new Fault('invalid', `Report at most ${TOKENS_MAX} tokens at once; these are ${count}.`);
}
