import { tableOf } from './table.js';

/** What a part found out. */
export interface Report {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** How it was measured, and what to keep in mind. */
  readonly notes: readonly string[];
  /** The same unrounded, for a program. */
  readonly figures: unknown;
}

/** A report as a person reads it. */
export function printed({ title, columns, rows, notes }: Report): string {
  const table = tableOf(columns, rows).replace(/^/gm, '  ');
  return [`\n${title}`, '', table, ...(notes.length === 0 ? [] : ['', ...notes.map((note) => `  ${note}`)])].join('\n');
}
