import { Fault } from '@vivarium/fault/fault';

export interface JsonLimits {
  readonly sizeBytes: number;
  readonly depth: number;
}

export const JSON_LIMITS: JsonLimits = { sizeBytes: 1_048_576, depth: 32 };

/**
 * The value of a JSON text from outside. Stricter than JSON.parse: UTF-8 must be valid (no byte order mark), no object may
 * repeat a key, `__proto__` is no key, no text holds a half surrogate or NUL, and size and depth have limits (1 MiB, 32 levels unless said otherwise).
 * `name` is how the text is called in messages.
 * Throws Fault('too_large') above the size, Fault('invalid') otherwise. Source: RFC 8259; I-JSON (RFC 7493) for the keys.
 */
export function parseJson(bytes: Uint8Array, name: string, limits: JsonLimits = JSON_LIMITS): unknown {
  if (bytes.byteLength > limits.sizeBytes) {
    throw new Fault('too_large', `${name} is larger than ${limits.sizeBytes} bytes.`);
  }
  const text = textOf(bytes, name);
  // JSON.parse checks the grammar; the walk below then only has to follow a well-formed text.
  const value = parseText(text, name);
  checkKeys(text, name, limits.depth);
  return value;
}

/** As `parseJson`, for a text that must be an object. */
export function parseJsonObject(bytes: Uint8Array, name: string, limits?: JsonLimits): Record<string, unknown> {
  const value = parseJson(bytes, name, limits);
  if (!isJsonObject(value)) throw new Fault('invalid', `${name} must be a JSON object.`);
  return value;
}

/** True if the value is an object of JSON: neither null nor an array. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Fault('invalid', `${name} is not UTF-8. Mend it and upload again.`, { cause });
  }
}

function parseText(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault('invalid', `${name} is not JSON. Mend it and upload again.`, { cause });
  }
}

// Different parsers keep different ones of two equal keys, so a repeated key could show two clients two packages.
function checkKeys(text: string, name: string, maxDepth: number): void {
  const open: (Set<string> | undefined)[] = [];
  const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]/g;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const word = match[0];
    if (word === '{' || word === '[') open.push(word === '{' ? new Set() : undefined);
    else if (word === '}' || word === ']') open.pop();
    else {
      if (word.includes('\\u')) checkText(JSON.parse(word), name);
      if (isKeyEnd(text, token.lastIndex)) addKey(open.at(-1), JSON.parse(word), name);
    }
    if (open.length > maxDepth)
      throw new Fault('invalid', `${name} is nested deeper than ${maxDepth} levels. Mend it and upload again.`);
  }
}

// A half surrogate cannot be written as UTF-8, and a NUL cannot be stored as text: either would fail long after this check.
function checkText(text: string, name: string): void {
  if (text.isWellFormed() && !text.includes('\u0000')) return;
  throw new Fault('invalid', `${name} has a text with a half surrogate or a NUL character. Remove it.`);
}

function isKeyEnd(text: string, at: number): boolean {
  let i = at;
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++;
  return text[i] === ':';
}

function addKey(keys: Set<string> | undefined, key: string, name: string): void {
  if (key === '__proto__') throw new Fault('invalid', `${name} has the key "__proto__". Remove it.`);
  if (keys?.has(key)) {
    throw new Fault('invalid', `${name} has the key ${JSON.stringify(key.slice(0, 80))} twice. Keep one.`);
  }
  keys?.add(key);
}
