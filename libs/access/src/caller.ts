import type { Restrictions } from './restriction.js';
import type { Scope } from './scope.js';

/** How an account proved who it is. A token cuts what the account may do; a session does not. */
export type Credential =
  | { readonly kind: 'session'; readonly id: string }
  | {
      readonly kind: 'token';
      readonly id: string;
      /** Only for the words of a reason. */
      readonly name?: string | undefined;
      readonly scopes: readonly Scope[];
      readonly restrictions: Restrictions;
    };

export type TokenCredential = Extract<Credential, { kind: 'token' }>;

/** Who is asking. An organization asks through its tokens only. */
export type Caller =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'account';
      readonly accountId: string;
      readonly login: string;
      readonly accountKind: 'user' | 'organization';
      /** May manage accounts. Opens no channel: every decision of this library is the same without it. */
      readonly superuser: boolean;
      readonly credential: Credential;
      /** Where this one request comes from. A question that names an address itself is decided on that. */
      readonly address?: string | undefined;
    };

export type AccountCaller = Extract<Caller, { kind: 'account' }>;

export const ANONYMOUS: Caller = { kind: 'anonymous' };

/** The token of a caller, or null for a session and for an anonymous caller. */
export function tokenOf(caller: Caller): TokenCredential | null {
  return caller.kind === 'account' && caller.credential.kind === 'token' ? caller.credential : null;
}

/** The address of a question, or else that of the caller; undefined if it is unknown. */
export function addressOf(asked: string | undefined, caller: Caller): string | undefined {
  return asked ?? (caller.kind === 'account' ? caller.address : undefined);
}

/** How a reason names the caller: the login, `acme (an organization)`, or `an anonymous caller`. */
export function callerName(caller: Caller): string {
  if (caller.kind === 'anonymous') return 'an anonymous caller';
  return caller.accountKind === 'organization' ? `${caller.login} (an organization)` : caller.login;
}

/**
 * True where an organization's token is outside its own channel: it opens nothing there and counts as nobody, not even
 * as somebody who is signed in.
 */
export function isAbroad(caller: Caller, ownerId: string): boolean {
  return caller.kind === 'account' && caller.accountKind === 'organization' && caller.accountId !== ownerId;
}
