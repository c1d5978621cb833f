import { Fault } from '@vivarium/fault/fault';

/** A query as the router reads it: a parameter given twice is a list. */
export type ListQuery = Readonly<Record<string, unknown>>;

const LIMIT = 50;
const LIMIT_MAX = 200;

/** A parameter that is one text; empty if absent. Throws Fault('invalid') for one that is given twice. */
export function textIn(query: ListQuery, name: string): string {
  const value = Object.hasOwn(query, name) ? query[name] : undefined;
  if (value === undefined) return '';
  if (typeof value === 'string') return value;
  throw new Fault('invalid', `"${name}" may be given once.`);
}

/** Where a page of a list of ours begins, and how long it is: 50 rows unless `limit` says 1 to 200. Throws Fault('invalid'). */
export function pageIn(query: ListQuery): { readonly after: string; readonly limit: number } {
  const text = textIn(query, 'limit');
  const limit = text === '' ? LIMIT : /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > LIMIT_MAX) throw new Fault('invalid', `"limit" must be a number from 1 to ${LIMIT_MAX}.`);
  const after = textIn(query, 'after');
  if (/^[!-~]{0,250}$/.test(after)) return { after, limit };
  throw new Fault('invalid', '"after" must be what "next" of the page before says.');
}
