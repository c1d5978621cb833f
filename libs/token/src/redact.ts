// Wider than the form of a token or of a session's secret: a cut, upper-cased or percent-encoded copy still gives most of the secret away.
const TOKEN_LIKE = /vi[vs](?:-|%2d)[a-z0-9]{12,}(?:(?:-|%2d)[a-z0-9]{0,6})?/gi;
// Whatever stands where a token stands in a URL, of whichever server. A quote ends it: lines of JSON stay JSON.
const PATH_TOKEN = /((?:\/|%2f)t(?:\/|%2f))(?:(?!%2f)[^/\s?#"])+/gi;
// A ticket takes the bytes of an upload without any other credential.
const PATH_TICKET = /((?:\/|%2f)-(?:\/|%2f)upload(?:\/|%2f))(?:(?!%2f)[^/\s?#"])+/gi;

/**
 * The text with every token replaced by `<token>`: what looks like one of ours, whole or cut, and anything in `/t/<x>/`;
 * the secret of a session likewise, and the ticket of an upload by `<ticket>`.
 * Redacting twice changes nothing more. For logs, traces, errors and redirects.
 */
export function redactTokens(text: string): string {
  return text.replace(PATH_TOKEN, '$1<token>').replace(PATH_TICKET, '$1<ticket>').replace(TOKEN_LIKE, '<token>');
}
