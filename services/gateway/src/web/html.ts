/** Text that is markup already. Only `html` makes it: the class is not given out. */
class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

export type { Markup };

/** What may stand in a gap of a template. */
export type Fill = string | number | Markup | readonly Markup[];

/**
 * The one way in which our pages are written: html`<td>${summary}</td>`. Every fill that `html` did not make itself is
 * escaped, for text and for attributes in double quotes, which are the only places for a fill; no fill is a whole address.
 */
export function html(strings: TemplateStringsArray, ...fills: readonly Fill[]): Markup {
  return new Markup(strings.map((part, index) => part + markupOf(fills[index] ?? '')).join(''));
}

function markupOf(fill: Fill): string {
  if (fill instanceof Markup) return String(fill);
  return typeof fill === 'object' ? fill.map(markupOf).join('') : escapeHtml(String(fill));
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"'`]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
