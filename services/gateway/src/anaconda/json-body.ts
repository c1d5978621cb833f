import type { IncomingMessage } from 'node:http';
import { Fault } from '@vivarium/fault/fault';

const LIMIT_BYTES = 2 ** 20;
const LIMIT_MS = 30_000;
const DEPTH_LIMIT = 100;

/** The object that a request's body is. Each reader throws Fault('invalid') for a value of another type; `null` is absent. */
export class JsonBody {
  readonly values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values;
  }

  text(name: string): string | undefined {
    const value = this.#value(name);
    if (value === undefined || typeof value === 'string') return value;
    throw wrongType(name, 'a text');
  }

  /** Throws Fault('invalid') if it is missing or empty, too. */
  needText(name: string): string {
    const text = this.text(name);
    if (text !== undefined && text !== '') return text;
    throw new Fault('invalid', `"${name}" is missing in the body.`);
  }

  flag(name: string): boolean | undefined {
    const value = this.#value(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw wrongType(name, 'true or false');
  }

  wholeNumber(name: string): number | undefined {
    const value = this.#value(name);
    if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value))) return value;
    throw wrongType(name, 'a whole number');
  }

  texts(name: string): string[] | undefined {
    const value = this.#value(name);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
    throw wrongType(name, 'a list of texts');
  }

  object(name: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.#value(name);
    if (value === undefined || isObject(value)) return value;
    throw wrongType(name, 'an object');
  }

  /** Own properties only: `constructor` in a body is what the client wrote, or nothing. */
  #value(name: string): unknown {
    return Object.hasOwn(this.values, name) ? (this.values[name] ?? undefined) : undefined;
  }
}

/**
 * Reads a body of JSON, at most 1 MiB within 30 s. No body is an empty object: clients say `application/json` on requests
 * that have none. Throws Fault('invalid') for what is no object in JSON, Fault('too_large').
 */
export async function readJson(request: IncomingMessage): Promise<JsonBody> {
  const value = await readValue(request, LIMIT_BYTES);
  if (value === undefined) return new JsonBody({});
  if (isObject(value)) return new JsonBody(value);
  throw new Fault('invalid', 'The body must be one JSON object.');
}

/**
 * Reads a body of any JSON, of at most so many bytes; undefined if there is none. No sentence repeats any of it. Throws
 * Fault('invalid'), Fault('too_large').
 */
export async function readValue(request: IncomingMessage, limitBytes: number): Promise<unknown> {
  const text = await readText(request, limitBytes);
  if (text.trim() === '') return undefined;
  const value = parse(text);
  // What is nested deeper can be read, but not written again.
  if (isDeeperThan(DEPTH_LIMIT, value))
    throw new Fault('invalid', `The body is nested deeper than ${DEPTH_LIMIT} levels.`);
  if (/\\u0000/i.test(text) && holdsZero(value)) {
    throw new Fault('invalid', 'The body holds a character U+0000, which no text here can have.');
  }
  return value;
}

/** A body of text, within 30 s. Throws Fault('invalid') for one that does not come, Fault('too_large'). */
export function readText(request: IncomingMessage, limitBytes: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const late = () => reject(new Fault('invalid', `The body did not arrive within ${LIMIT_MS / 1_000} s.`));
  const timer = setTimeout(late, LIMIT_MS);
  const take = (chunk: Buffer): void => {
    sizeBytes += chunk.byteLength;
    if (sizeBytes <= limitBytes) chunks.push(chunk);
    else reject(new Fault('too_large', `The body is larger than ${limitBytes} bytes.`));
  };
  request.on('data', take);
  request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
  request.once('close', () => reject(new Fault('invalid', 'The body ended too early.')));
  request.once('error', reject);
  return promise.finally(() => {
    clearTimeout(timer);
    request.off('data', take);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault('invalid', 'The body is not JSON.');
  }
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeperThan(levels - 1, each));
}

function holdsZero(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0');
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, each]) => name.includes('\0') || holdsZero(each));
}

/** True for what `{…}` is in JSON. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrongType(name: string, wanted: string): Fault {
  return new Fault('invalid', `"${name}" must be ${wanted}.`);
}
