import type { TokenCredential } from './caller.js';
import { admitsChannel, admitsLabel, admitsName, admitsSubdir } from './restriction.js';
import {
  admitsUpload,
  admitsUploadReads,
  FILE_KINDS,
  type FileKind,
  holds,
  type Scope,
  uploadScopeOf,
} from './scope.js';

export const VERBS = ['create', 'read', 'write', 'admin', 'own'] as const;
/**
 * `create` a package · `read`: see, download · `write`: upload, replace, delete a file, change labels · `admin`:
 * visibility, transfer, collaborators, delete a package, unlock a label · `own`: groups, organization, its tokens.
 */
export type Verb = (typeof VERBS)[number];

export const RESOURCE_KINDS = ['channel', 'package', 'groups', 'organization', 'tokens', 'audit'] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/**
 * By which door the caller comes, and so which scopes count: the conda or Python repository, the API, or a client's own
 * upload through the API (of a kind, once the client has said which).
 */
export type Use = 'conda' | 'pypi' | 'api' | 'upload' | `upload:${FileKind}`;

export const USES: readonly Use[] = [
  'conda',
  'pypi',
  'api',
  'upload',
  ...FILE_KINDS.map((kind): Use => `upload:${kind}`),
];

/** What a token is asked to do, as far as its scopes and restrictions care. */
export interface Ask {
  readonly verb: Verb;
  readonly use: Use;
  readonly kind: ResourceKind;
  readonly channelId: string;
  /**
   * The label of the URL, or the labels that the file carries or shall carry. A read needs one of them admitted, a change
   * every one. Absent means `main` in a repository.
   */
  readonly label?: string | readonly string[] | undefined;
}

/**
 * Why the token does not do this anywhere in the channel, as the end of a sentence (`lacks the scope conda:download`),
 * or null. Scopes come first, then channels, then labels.
 */
export function routeCut(token: TokenCredential, ask: Ask): string | null {
  const scope = lackingScope(token.scopes, ask);
  if (scope !== null) return `lacks the scope ${scope}`;
  if (!admitsChannel(token.restrictions, ask.channelId)) return 'is limited to other channels';
  return labelCut(token, ask);
}

/**
 * Why the token does not do this to the named package (in the subdir, if given), as the end of a sentence, or null. A
 * read needs one of the names admitted, a change every one: a package may be `foo_bar` to conda and `foo-bar` to pip.
 */
export function packageCut(
  token: TokenCredential,
  ask: Ask & { readonly names: readonly string[]; readonly subdir?: string | undefined },
): string | null {
  const { packages: globs, subdirs } = token.restrictions;
  if (globs !== undefined) {
    const admitted = ask.names.filter((name) => admitsName(globs, name)).length;
    const needed = ask.verb === 'read' ? 1 : Math.max(1, ask.names.length);
    if (admitted < needed) return `is limited to the packages ${globs.join(', ')}`;
  }
  if (subdirs === undefined || isPython(ask.use)) return null;
  const admitted =
    ask.subdir === undefined ? saysLater(ask) || ask.verb === 'read' : admitsSubdir({ subdirs }, ask.subdir);
  return admitted ? null : `is limited to the subdirs ${subdirs.join(', ')}`;
}

/**
 * Why a token that is limited to packages, labels or subdirs does not do what concerns the whole channel, as the end of
 * a sentence, or null. It may still begin an upload: what it brings is decided when it is known.
 */
export function wholeCut(token: TokenCredential, ask: Ask): string | null {
  // What is read of an audit trail is of the whole channel.
  if (ask.verb === 'read' && ask.kind === 'audit') return limitOf(token);
  if (ask.verb === 'read' || (ask.kind === 'channel' && (ask.verb === 'write' || ask.verb === 'create'))) return null;
  return limitOf(token);
}

function limitOf(token: TokenCredential): string | null {
  const { packages, labels, subdirs } = token.restrictions;
  const limits = packages ?? labels ?? subdirs;
  return limits === undefined ? null : `is limited to a part of the channel: ${limits.join(', ')}`;
}

/** The scope that is missing, or null if the scopes admit the verb by this door. */
export function lackingScope(
  scopes: readonly Scope[],
  ask: { readonly verb: Verb; readonly use: Use; readonly kind: ResourceKind },
): Scope | null {
  const lacking = (need: Scope) => (holds(scopes, need) ? null : need);
  const { verb, use, kind } = ask;
  if (verb === 'read') {
    if (use === 'conda' || use === 'pypi') return lacking(`${use}:download`);
    return use !== 'api' && admitsUploadReads(scopes, uploadKindOf(use)) ? null : lacking('api:read');
  }
  if (kind === 'groups') return lacking('api:modify-group');
  if (kind === 'organization' || kind === 'tokens' || verb === 'own') return lacking('api');
  if (verb === 'admin' || use === 'api') return lacking('api:write');
  return admitsUpload(scopes, uploadKindOf(use)) ? null : uploadScopeOf(uploadKindOf(use));
}

function labelCut(token: TokenCredential, ask: Ask): string | null {
  const { labels: limits } = token.restrictions;
  if (limits === undefined || (ask.kind !== 'package' && ask.kind !== 'channel')) return null;
  const labels = labelsOf(ask);
  const admitted =
    labels === null
      ? saysLater(ask)
      : labels.length > 0 &&
        labels[ask.verb === 'read' ? 'some' : 'every']((label) => admitsLabel(token.restrictions, label));
  // Changing the channel itself is judged by `wholeCut`, in words that fit.
  if (admitted || (labels === null && ask.kind === 'channel' && ask.verb !== 'read')) return null;
  return `is limited to the labels ${limits.join(', ')}`;
}

function labelsOf(ask: Ask): readonly string[] | null {
  if (typeof ask.label === 'string') return [ask.label];
  if (ask.label !== undefined) return ask.label;
  return ask.use === 'conda' || ask.use === 'pypi' ? ['main'] : null;
}

// A client's upload first looks, then creates the package and the release, and names labels and subdir last.
function saysLater(ask: Ask): boolean {
  return ask.verb === 'create' || (ask.use.startsWith('upload') && ask.verb !== 'admin' && ask.verb !== 'own');
}

/** True where subdirs mean nothing: the Python repository, and uploads to it. */
export function isPython(use: Use): boolean {
  return uploadKindOf(use) === 'pypi';
}

function uploadKindOf(use: Use): FileKind | undefined {
  return FILE_KINDS.find((kind) => use === kind || use === `upload:${kind}`);
}
