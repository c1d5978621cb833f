import { createHash } from 'node:crypto';
import { type Audience, principalOf } from './audience.js';
import { type Caller, isAbroad, tokenOf } from './caller.js';
import { admitsName, admitsSubdir } from './restriction.js';
import type { Standing } from './standing.js';

/** The part of a channel that a caller may see. Callers for whom `viewKey` is the same get the same bytes. */
export interface View {
  /** Owners, and members of a group on all packages: they belong to every audience. */
  readonly everything: boolean;
  readonly signedIn: boolean;
  /** `group:<id>` and `user:<id>`, sorted. */
  readonly principals: readonly string[];
  /**
   * A token's package globs. They cut what is not public: nobody's token sees less than a stranger does, so an index
   * keeps the public audience whole and splits the others.
   */
  readonly globs?: readonly string[] | undefined;
  /** A token's subdirs, cutting in the same way. `noarch` is always among them. No meaning for Python. */
  readonly subdirs?: readonly string[] | undefined;
}

const STRANGER: View = { everything: false, signedIn: false, principals: [] };

/** What anybody sees: the public packages. */
export function strangerView(): View {
  return STRANGER;
}

/**
 * What the account behind the caller may see in the channel of the owner `ownerId`, cut by a token's globs and subdirs.
 * Scopes and the other restrictions are not looked at: `admitReader` does.
 */
export function viewOf(caller: Caller, standing: Standing, ownerId: string): View {
  if (caller.kind === 'anonymous' || isAbroad(caller, ownerId)) return STRANGER;
  const principals = standing.groups.map((group) => principalOf({ kind: 'group', id: group.id }));
  principals.push(principalOf({ kind: 'user', id: caller.accountId }));
  const { packages: globs, subdirs } = tokenOf(caller)?.restrictions ?? {};
  return {
    everything: standing.owner || standing.groups.some((group) => group.all),
    signedIn: true,
    principals: principals.sort(),
    ...(globs === undefined ? {} : { globs }),
    ...(subdirs === undefined ? {} : { subdirs }),
  };
}

/** True if the view contains packages of the audience. Globs and subdirs are a matter of the single package: `sees`. */
export function belongs(view: View, audience: Pick<Audience, 'visibility' | 'principals'>): boolean {
  if (audience.visibility === 'public' || view.everything) return true;
  if (audience.visibility === 'authenticated') return view.signedIn;
  return audience.principals.some((principal) => view.principals.includes(principal));
}

/**
 * True if the view contains one thing: a package by its audience and its name (as its kind normalises it), in a subdir
 * if it has one. What is public is in every view.
 */
export function sees(
  view: View,
  thing: {
    readonly audience: Pick<Audience, 'visibility' | 'principals'>;
    readonly name: string;
    readonly subdir?: string;
  },
): boolean {
  if (thing.audience.visibility === 'public') return true;
  if (!belongs(view, thing.audience) || !admitsName(view.globs, thing.name)) return false;
  return thing.subdir === undefined || admitsSubdir(view, thing.subdir);
}

/**
 * The view inside one subdir: a stranger's if a token's subdirs leave it out, else without a cut by subdirs, so that it
 * shares its key with the views of callers who are not cut.
 */
export function viewInSubdir(view: View, subdir: string): View {
  if (view.subdirs === undefined) return view;
  return admitsSubdir(view, subdir) ? withoutSubdirs(view) : STRANGER;
}

/** The view without a cut by subdirs: for Python, where they mean nothing. */
export function withoutSubdirs(view: View): View {
  const { subdirs: _, ...rest } = view;
  return rest;
}

/** True if globs or subdirs may cut away something that stands in one of these audiences. */
export function isCut(view: View, audiences: readonly Audience[]): boolean {
  if (view.globs === undefined && view.subdirs === undefined) return false;
  return audiences.some((audience) => audience.visibility !== 'public' && belongs(view, audience));
}

/**
 * The name of what the view shows of an index that holds these audiences: equal for callers who may see the same there,
 * different after the channel was deleted and made anew (`incarnation`). 32 hexadecimal digits.
 * It tells nothing about what the view does not show.
 */
export function viewKey(view: View, audiences: readonly Audience[], incarnation: string): string {
  const ids = new Set(audiences.filter((audience) => belongs(view, audience)).map((audience) => audience.id));
  const cut = isCut(view, audiences) ? [sorted(view.globs), sorted(view.subdirs)] : [];
  const text = JSON.stringify([incarnation, [...ids].sort(), cut]);
  return createHash('sha256').update(text, 'utf8').digest('hex').slice(0, 32);
}

function sorted(entries: readonly string[] | undefined): readonly string[] | null {
  return entries === undefined ? null : [...new Set(entries)].sort();
}
