import type { Said } from './run-record.js';

const WINDOW = 8;
const SHOWN_CHARACTERS = 60;

export interface Leak {
  /** Of the secret. */
  readonly name: string;
  /** Where it was said. */
  readonly source: string;
  /** What stands before it, for whoever has to find the place. */
  readonly before: string;
}

/**
 * Which of the secrets (secret → name) stand in the texts, in any form of `formsOf`; each secret once for a source. One pass
 * over the texts, however many secrets there are.
 */
export function findSecrets(secrets: ReadonlyMap<string, string>, texts: readonly Said[]): readonly Leak[] {
  // What a form begins with → the forms. A bit for each such beginning keeps nearly all places of a text from being looked up.
  const forms = new Map<string, { readonly form: string; readonly name: string }[]>();
  const begins = new Uint8Array(2 ** 16);
  for (const [secret, name] of secrets) {
    for (const form of formsOf(secret)) {
      const key = form.slice(0, WINDOW);
      const known = forms.get(key);
      if (known === undefined) forms.set(key, [{ form, name }]);
      else known.push({ form, name });
      begins[hashAt(form, 0)] = 1;
    }
  }
  const found = new Map<string, Leak>();
  for (const { source, text } of texts) {
    for (let at = 0; at + WINDOW <= text.length; at++) {
      if (begins[hashAt(text, at)] === 0) continue;
      for (const { form, name } of forms.get(text.slice(at, at + WINDOW)) ?? []) {
        if (!text.startsWith(form, at)) continue;
        const before = text.slice(Math.max(0, at - SHOWN_CHARACTERS), at);
        if (!found.has(`${name}\n${source}`)) found.set(`${name}\n${source}`, { name, source, before });
      }
    }
  }
  return [...found.values()];
}

/**
 * How a secret may stand in a text: whole, percent-encoded, in hexadecimal, in the base64 of what holds it (a Basic header,
 * say), or cut after sixteen characters. Forms too short to be told from other text are left out.
 */
export function formsOf(secret: string): readonly string[] {
  const encoded = encodeURIComponent(secret);
  const escaped = JSON.stringify(secret).slice(1, -1);
  const lower = encoded.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
  const everything = [...Buffer.from(secret)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const forms = [secret, escaped, encoded, lower, everything, everything.toUpperCase()];
  forms.push(Buffer.from(secret).toString('hex'));
  if (secret.length >= 20) forms.push(secret.slice(0, 16));
  // Three alignments: what stands before it shifts its base64.
  for (const before of ['', ':', '::']) {
    const base64 = Buffer.from(before + secret)
      .toString('base64')
      .replace(/=+$/, '');
    const whole = base64.slice(before === '' ? 0 : 4, -3);
    forms.push(whole, whole.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...new Set(forms.filter((form) => form.length >= WINDOW))];
}

function hashAt(text: string, at: number): number {
  const [one, two, three] = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2)];
  return (one * 961 + two * 31 + three + text.charCodeAt(at + 7) * 4_093) & 0xffff;
}
