import type { IncomingMessage } from 'node:http';
import { Fault } from '@vivarium/fault/fault';
import { readText } from '../anaconda/json-body.js';

const LIMIT_BYTES = 16 * 1024;

/**
 * The fields of a form that was sent as `application/x-www-form-urlencoded`, at most 16 KiB. Throws Fault('invalid') for
 * another type and for a field that is there twice, which two readers could take differently; Fault('too_large').
 */
export async function readForm(request: IncomingMessage): Promise<ReadonlyMap<string, string>> {
  if (!/^application\/x-www-form-urlencoded($|[ ;])/i.test(request.headers['content-type'] ?? '')) {
    throw new Fault('invalid', 'Send the form as application/x-www-form-urlencoded.');
  }
  return fieldsOf(new URLSearchParams(await readText(request, LIMIT_BYTES)));
}

/** The fields of a query or form, each once. Throws Fault('invalid') for one that is there twice. */
export function fieldsOf(parameters: URLSearchParams): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of parameters) {
    if (fields.has(name)) throw new Fault('invalid', `"${name.slice(0, 40)}" is given more than once.`);
    fields.set(name, value);
  }
  return fields;
}
