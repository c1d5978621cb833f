import { createHash } from 'node:crypto';
import { Fault } from '@vivarium/fault/fault';
import { isTokenShaped, parseToken } from '@vivarium/token/format';

/** What a request shows of who sends it. The secret itself goes no further than this file. */
export type Credential =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly sha256: string }
  | { readonly kind: 'session'; readonly sha256: string }
  /** What a login by the browser gave a program. */
  | { readonly kind: 'browser'; readonly sha256: string }
  | { readonly kind: 'password'; readonly login: string; readonly password: string };

export interface Shown {
  /** What stood after `/t/` in the URL. */
  readonly pathToken: string | undefined;
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  /** We are reached over https. Then only the cookie counts that no other host and no plain http can set. */
  readonly overHttps?: boolean;
}

/** What a place accepts beside tokens. */
export type Place =
  /** Indexes, artifacts and uploads by form: tokens only. */
  | 'repository'
  /** The API: tokens, and the session of a browser. */
  | 'api'
  /** Where a token is made: the account's password too, and what a login by the browser gave. */
  | 'login';

export const SESSION_COOKIE = '__Host-vivarium';
/** Over plain http browsers refuse the prefix `__Host-`. */
export const PLAIN_SESSION_COOKIE = 'vivarium';
const BROWSER_SECRET = /^via-[a-z0-9]{32}$/;
const NONE: Credential = { kind: 'none' };

/**
 * The one credential that counts. A token in the path comes first, and whatever a `.netrc` adds beside it is ignored; two
 * different tokens of ours are refused. Cookies count for the API only, passwords only where a login happens.
 * Throws Fault('invalid') for two tokens, Fault('unauthenticated') for a token that cannot be one and a password in the wrong place.
 */
export function credentialOf(shown: Shown, place: Place): Credential {
  const fromPath = shown.pathToken === undefined ? undefined : tokenDigestOf(shown.pathToken);
  const header = readAuthorization(shown.authorization);
  if (fromPath !== undefined) {
    const beside = header?.kind === 'token' && isTokenShaped(header.text) ? tokenDigestOf(header.text) : fromPath;
    if (beside !== fromPath) {
      throw new Fault('invalid', 'The URL and the Authorization header hold two different tokens. Send one of them.');
    }
    return { kind: 'token', sha256: fromPath };
  }
  if (header?.kind === 'password') {
    if (place === 'login') return header;
    throw new Fault(
      'unauthenticated',
      'Account passwords are not accepted here. Use a token: user "__token__" with the token as its password, or /t/<token>/ in the URL. Make one with "anaconda auth --create".',
    );
  }
  if (header?.kind === 'token') {
    if (place === 'login' && BROWSER_SECRET.test(header.text))
      return { kind: 'browser', sha256: sha256Of(header.text) };
    return { kind: 'token', sha256: tokenDigestOf(header.text) };
  }
  const session = place === 'repository' ? undefined : sessionOf(shown);
  return session === undefined ? NONE : { kind: 'session', sha256: sha256Of(session) };
}

function tokenDigestOf(text: string): string {
  return parseToken(text).sha256;
}

type Header = { readonly kind: 'token'; readonly text: string } | Extract<Credential, { kind: 'password' }>;

function readAuthorization(header: string | undefined): Header | undefined {
  if (header === undefined || header === '') return undefined;
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +(.+)$/.exec(header) ?? [];
  switch (scheme.toLowerCase()) {
    case 'token':
    case 'bearer':
      return { kind: 'token', text: value.trim() };
    case 'basic':
      return readBasic(value.trim());
    default:
      throw new Fault(
        'unauthenticated',
        'The Authorization header must be "token <token>", "Bearer <token>" or Basic.',
      );
  }
}

function readBasic(value: string): Header {
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  const [user, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  // With the name __token__ it is meant to be a token, and is told so if it is malformed.
  if (user === '__token__' || isTokenShaped(password)) return { kind: 'token', text: password };
  if (password === '' && isTokenShaped(user)) return { kind: 'token', text: user };
  return { kind: 'password', login: user, password };
}

function sessionOf({ cookie, overHttps }: Shown): string | undefined {
  for (const part of cookie?.split(';') ?? []) {
    const [name, value] = part.trim().split('=', 2);
    if ((name === SESSION_COOKIE || (name === PLAIN_SESSION_COOKIE && overHttps !== true)) && value) return value;
  }
  return undefined;
}

function sha256Of(secret: string): string {
  return createHash('sha256').update(secret, 'utf8').digest('hex');
}
