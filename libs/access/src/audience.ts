import { createHash } from 'node:crypto';

export const VISIBILITIES = ['public', 'authenticated', 'private'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

/** In rising order: each contains those before it. */
export const PERMISSIONS = ['read', 'write', 'admin'] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** A row of a package: a group of the owner, or a collaborator (`read` or `write`). A group's permission is the group's. */
export interface Grant {
  readonly kind: 'group' | 'user';
  readonly id: string;
  readonly permission: Permission;
}

/**
 * Who may read a package, as a value. Packages with equal audiences share an id, and so index chunks and cache entries.
 * Owners, and groups that cover all packages, are never part of it: they belong to every audience of the channel.
 */
export interface Audience {
  readonly id: string;
  readonly visibility: Visibility;
  /** `group:<id>` and `user:<id>`, sorted, each once. Only a private audience has any. */
  readonly principals: readonly string[];
}

const PRINCIPAL = /^(?:group|user):./;

/** True for one of the three visibilities. */
export function isVisibility(text: string): text is Visibility {
  return (VISIBILITIES as readonly string[]).includes(text);
}

/** True if the permission contains the other: `read` < `write` < `admin`. */
export function isAtLeast(permission: Permission, other: Permission): boolean {
  return PERMISSIONS.indexOf(permission) >= PERMISSIONS.indexOf(other);
}

/**
 * The audience of a package with this visibility and these grants. Every grant reads, whatever its permission; grants of
 * public and authenticated packages only say who may change them. Private without grants is its owners' alone.
 */
export function audienceOf(access: { readonly visibility: Visibility; readonly grants: readonly Grant[] }): Audience {
  if (access.visibility !== 'private') return { id: access.visibility, visibility: access.visibility, principals: [] };
  const principals = [...new Set(access.grants.map(principalOf))].sort();
  return { id: idOf(principals), visibility: 'private', principals };
}

/** `group:<id>` or `user:<id>`. */
export function principalOf(grant: Pick<Grant, 'kind' | 'id'>): string {
  return `${grant.kind}:${grant.id}`;
}

/** True for a value that `audienceOf` may have made: its id is that of its content. For rows, messages and files. */
export function isAudience(value: unknown): value is Audience {
  if (typeof value !== 'object' || value === null) return false;
  const { id, visibility, principals } = value as Partial<Record<keyof Audience, unknown>>;
  if (typeof visibility !== 'string' || !isVisibility(visibility) || !Array.isArray(principals)) return false;
  if (visibility !== 'private') return id === visibility && principals.length === 0;
  const wellFormed = principals.every((entry, at) => {
    return typeof entry === 'string' && PRINCIPAL.test(entry) && (at === 0 || principals[at - 1] < entry);
  });
  return wellFormed && id === idOf(principals);
}

function idOf(principals: readonly string[]): string {
  // JSON, so that no id inside a principal can be mistaken for two.
  return `a-${createHash('sha256').update(JSON.stringify(principals), 'utf8').digest('hex').slice(0, 24)}`;
}
