/** The forms in which a simple page is kept. */
export type SimpleFormat = 'json' | 'html-v1' | 'html';

/** The exact Content-Type of each form. Clients compare the part before `;` with exactly these three. */
export const SIMPLE_CONTENT_TYPES: Readonly<Record<SimpleFormat, string>> = {
  json: 'application/vnd.pypi.simple.v1+json',
  'html-v1': 'application/vnd.pypi.simple.v1+html',
  html: 'text/html; charset=utf-8',
};

// A tie goes to the first: plain HTML for browsers and for whoever did not ask.
const OFFERS: readonly { readonly format: SimpleFormat; readonly types: readonly string[] }[] = [
  { format: 'html', types: ['text/html'] },
  { format: 'html-v1', types: ['application/vnd.pypi.simple.v1+html', 'application/vnd.pypi.simple.latest+html'] },
  { format: 'json', types: ['application/vnd.pypi.simple.v1+json', 'application/vnd.pypi.simple.latest+json'] },
];

const MAX_ACCEPT_LENGTH = 2048;

/**
 * The form to answer in, from the header Accept and the query parameter `format`, which wins if it names a known type.
 * The highest q-value wins, a more specific range overruling a wider one. Whoever accepts nothing that we have, or sends
 * nothing, gets HTML: every client reads it, and a 406 helps nobody. Source: PEP 691; RFC 9110 §12.5.1.
 */
export function negotiateSimple(accept: string | undefined, formatQuery?: string): SimpleFormat {
  // In a query a bare `+` is decoded to a space.
  const asked = formatQuery?.trim().toLowerCase().replace(/ /g, '+');
  const named = OFFERS.find(({ types }) => asked !== undefined && types.includes(asked));
  if (named !== undefined) return named.format;
  const ranges = rangesOf(accept ?? '');
  let best: { readonly format: SimpleFormat; readonly quality: number } = { format: 'html', quality: 0 };
  for (const { format, types } of OFFERS) {
    const quality = Math.max(...types.map((type) => qualityOf(type, ranges)));
    if (quality > best.quality) best = { format, quality };
  }
  return best.format;
}

function rangesOf(accept: string): ReadonlyMap<string, number> {
  const ranges = new Map<string, number>();
  for (const part of accept.slice(0, MAX_ACCEPT_LENGTH).toLowerCase().split(',')) {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim());
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice('q='.length);
    if (quality === undefined) ranges.set(range, 1);
    else if (/^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(quality)) ranges.set(range, Number(quality));
  }
  return ranges;
}

function qualityOf(type: string, ranges: ReadonlyMap<string, number>): number {
  const exact = ranges.get(type);
  if (exact !== undefined) return exact;
  // `latest` is only a word for the newest version: a wide range does not mean it again.
  if (type.includes('.latest+')) return 0;
  return ranges.get(`${type.slice(0, type.indexOf('/'))}/*`) ?? ranges.get('*/*') ?? 0;
}
