import type { Spread } from './statistics.js';

/** A table in plain text: the first column to the left, figures to the right. */
export function tableOf(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [columns, ...rows];
  const widths = columns.map((_, at) => Math.max(...all.map((row) => (row[at] ?? '').length)));
  const line = (row: readonly string[]): string =>
    widths
      .map((width, at) => (at === 0 ? (row[at] ?? '').padEnd(width) : (row[at] ?? '').padStart(width)))
      .join('  ')
      .trimEnd();
  return [line(columns), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** `12.3 (11.9–14.0)`: the median, and what the rounds lay between. */
export function shownSpread({ median, min, max }: Spread, digits: number): string {
  return `${shown(median, digits)} (${shown(min, digits)}–${shown(max, digits)})`;
}

/** A number with so many digits after the point, thousands apart. */
export function shown(value: number, digits = 0): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
