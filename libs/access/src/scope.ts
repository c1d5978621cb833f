import { Fault } from '@vivarium/fault/fault';

/** Every scope that a token may have, with what it opens. The order is that of the list shown to users. */
export const SCOPES = {
  all: 'everything that its owner may do',
  api: 'all operations of the API',
  'api:read': 'read through the API',
  'api:write': 'change through the API: packages, releases, and uploads of any type',
  'api:modify-group': 'add and change groups',
  repos: 'download from every package repository that its owner may read',
  conda: 'all operations on conda repositories',
  'conda:download': 'download from conda repositories',
  'conda:upload': 'upload to conda repositories',
  pypi: 'all operations on Python repositories',
  'pypi:download': 'download from Python repositories',
  'pypi:upload': 'upload to Python repositories',
} as const;

export type Scope = keyof typeof SCOPES;

/** What kinds of file a package may hold. */
export const FILE_KINDS = ['conda', 'pypi', 'ipynb', 'env', 'project', 'r', 'installer', 'file'] as const;
export type FileKind = (typeof FILE_KINDS)[number];

const PARTS: Partial<Record<Scope, readonly Scope[]>> = {
  all: ['api', 'repos', 'conda', 'pypi'],
  api: ['api:read', 'api:write', 'api:modify-group'],
  repos: ['conda:download', 'pypi:download'],
  conda: ['conda:download', 'conda:upload'],
  pypi: ['pypi:download', 'pypi:upload'],
};

const WORDS_LIMIT = 50;

/** True for the name of a scope. */
export function isScope(text: string): text is Scope {
  return Object.hasOwn(SCOPES, text);
}

/**
 * The scopes that a client asks for, each once, in the order asked. `null` and an empty list mean `all`, as the
 * `anaconda` client tells its users when it sends them; `repo` is the old spelling of `repos`.
 * Throws Fault('invalid') that lists the existing scopes when a word is none of them.
 */
export function parseScopes(input: readonly string[] | null): Scope[] {
  if (input === null || input.length === 0) return ['all'];
  if (input.length > WORDS_LIMIT) {
    throw new Fault('invalid', `a token has at most ${WORDS_LIMIT} scopes, not ${input.length}`);
  }
  const scopes = new Set<Scope>();
  for (const word of input) {
    const scope = word === 'repo' ? 'repos' : word;
    if (!isScope(scope)) {
      throw new Fault(
        'invalid',
        `there is no scope "${word.slice(0, 64)}"; there are ${Object.keys(SCOPES).join(', ')}`,
      );
    }
    scopes.add(scope);
  }
  return [...scopes];
}

/**
 * True if the scopes contain the needed one: itself, something it is part of, or all of its parts. Only `all` is more
 * than the sum of its parts: it will also contain scopes that do not exist yet.
 */
export function holds(scopes: readonly Scope[], need: Scope): boolean {
  if (scopes.some((scope) => contains(scope, need))) return true;
  const parts = need === 'all' ? undefined : PARTS[need];
  return parts?.every((part) => holds(scopes, part)) ?? false;
}

/** True if every one of the scopes is held by the others: what a minted token must be to its parent. */
export function isNarrower(scopes: readonly Scope[], than: readonly Scope[]): boolean {
  return scopes.every((scope) => holds(than, scope));
}

/** The scope to name when an upload of this kind is refused; without a kind, the one that admits them all. */
export function uploadScopeOf(kind?: FileKind): Scope {
  return kind === 'conda' || kind === 'pypi' ? `${kind}:upload` : 'api:write';
}

/**
 * True if the scopes admit an upload of the kind: `api:write` of any, `conda:upload` and `pypi:upload` of their own.
 * Without a kind, as before a client has said what it brings: of some kind.
 */
export function admitsUpload(scopes: readonly Scope[], kind?: FileKind): boolean {
  if (holds(scopes, 'api:write')) return true;
  if (kind !== undefined) return holds(scopes, uploadScopeOf(kind));
  return holds(scopes, 'conda:upload') || holds(scopes, 'pypi:upload');
}

/** True if the scopes admit the reads that a client's own upload makes before it sends anything. */
export function admitsUploadReads(scopes: readonly Scope[], kind?: FileKind): boolean {
  return holds(scopes, 'api:read') || admitsUpload(scopes, kind);
}

function contains(scope: Scope, need: Scope): boolean {
  return scope === need || (PARTS[scope]?.some((part) => contains(part, need)) ?? false);
}
