import { Fault } from '@vivarium/fault/fault';
import { isJsonObject } from './json.js';

export const RUN_EXPORT_KINDS = ['noarch', 'strong', 'strong_constrains', 'weak', 'weak_constrains'] as const;

/** What a package makes others depend on when they are built against it: lists of specs, empty ones left out. */
export type RunExports = { readonly [kind in (typeof RUN_EXPORT_KINDS)[number]]?: readonly string[] };

/**
 * The run exports of `info/run_exports.json` in the one form that every client reads: an object of lists, in a fixed order.
 * A bare list means `weak`; a bare text is a list of one; kinds that no client knows are left out.
 * Throws Fault('invalid') if it is anything else. Source: CEP-12.
 */
export function runExportsOf(value: unknown): RunExports {
  if (Array.isArray(value)) return runExportsOf({ weak: value });
  if (!isJsonObject(value)) throw bad();
  const lists = RUN_EXPORT_KINDS.map((kind) => [kind, listOf(value[kind])] as const);
  return Object.fromEntries(lists.filter(([, list]) => list.length > 0));
}

function listOf(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((spec) => typeof spec === 'string')) throw bad();
  return list;
}

function bad(): Fault {
  return new Fault(
    'invalid',
    `info/run_exports.json must be an object with lists of specs under ${RUN_EXPORT_KINDS.join(', ')}.`,
  );
}
