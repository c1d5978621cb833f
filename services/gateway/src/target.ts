// Which family of URLs a request belongs to, and what is left of its path. A host name or a first segment selects:
//
//   conda.<host>  or  /conda …       conda paths          pypi.<host>  or  /pypi …   PyPI paths
//   api.<host>    or  /api …         the API              <host>                     the web pages, and conda paths that
//                                                                                    end in a file conda asks for
//   /t/<token> is cut after the root, after /conda and after /pypi, on every host but the API's.
//
// The token is cut from the URL here, before a log, a trace or anything else sees the request.
import { Fault } from '@vivarium/fault/fault';

export type Family = 'conda' | 'pypi' | 'api' | 'web';

export interface Target {
  readonly family: Family;
  /** The raw, still percent-encoded path below the family, beginning with `/`; without token and query. */
  readonly path: string;
  /** With the `?`, or empty. */
  readonly query: string;
  /** What stood after `/t/`, as it stood there. */
  readonly pathToken: string | undefined;
  /** The host names the family, so its paths have no prefix. */
  readonly ownHost: boolean;
}

export interface Hosts {
  readonly web: string;
  readonly conda: string;
  readonly pypi: string;
  readonly api: string;
}

export const MAX_URL_CHARACTERS = 4_096;

/**
 * Reads the Host header and the request target.
 * Throws Fault('not_found') with `isUnknownHost` for a host that is none of ours, Fault('invalid') for a target that no client sends.
 */
export function parseTarget(host: string | undefined, url: string, hosts: Hosts): Target {
  if (url.length > MAX_URL_CHARACTERS) {
    throw new Fault('invalid', `The URL has ${url.length} characters; at most ${MAX_URL_CHARACTERS} are read.`);
  }
  if (!/^\/[!-~]*$/.test(url) || url.includes('#')) throw new Fault('invalid', 'The request target is not a path.');
  const family = familyOfHost(host, hosts);
  const at = url.indexOf('?');
  const query = at < 0 ? '' : url.slice(at);
  const path = at < 0 ? url : url.slice(0, at);
  if (family === 'api') return { family, path, query, pathToken: undefined, ownHost: true };
  if (family !== 'web') return { family, ...cutToken(path), query, ownHost: true };
  return { ...onMainHost(path), query, ownHost: false };
}

function onMainHost(path: string): Pick<Target, 'family' | 'path' | 'pathToken'> {
  if (isUnder(path, '/api')) return { family: 'api', path: path.slice(4) || '/', pathToken: undefined };
  const { path: rest, pathToken } = cutToken(path);
  for (const family of ['conda', 'pypi'] as const) {
    if (!isUnder(rest, `/${family}`)) continue;
    const below = rest.slice(family.length + 1) || '/';
    // The token may stand before the prefix or after it, not in both places.
    return pathToken === undefined ? { family, ...cutToken(below) } : { family, path: below, pathToken };
  }
  return { family: pathToken === undefined ? 'web' : 'conda', path: rest, pathToken };
}

function cutToken(path: string): { path: string; pathToken: string | undefined } {
  if (!path.startsWith('/t/')) return { path, pathToken: undefined };
  const end = path.indexOf('/', 3);
  const pathToken = end < 0 ? path.slice(3) : path.slice(3, end);
  return { path: end < 0 ? '/' : path.slice(end), pathToken };
}

function isUnder(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

/** A Host that is none of ours: 421, so that a misdirected request is never answered as if it were meant for us. */
export class UnknownHost extends Fault {
  constructor(host: string) {
    super('not_found', `This server does not answer for the host "${host.slice(0, 100)}". Check PUBLIC_URL.`);
  }
}

function familyOfHost(host: string | undefined, hosts: Hosts): Family {
  const name = (host ?? '').toLowerCase();
  if (name === hosts.web) return 'web';
  if (name === hosts.conda) return 'conda';
  if (name === hosts.pypi) return 'pypi';
  if (name === hosts.api) return 'api';
  throw new UnknownHost(host ?? '');
}
