import { fromJson, type JsonValue, type MessageInitShape, toJson } from '@bufbuild/protobuf';
import { ANONYMOUS, type Caller } from '@vivarium/access/caller';
import { type Restrictions, restrictionsOf } from '@vivarium/access/restriction';
import { parseScopes } from '@vivarium/access/scope';
import {
  type Caller as CallerMessage,
  CallerSchema,
  type Restrictions as RestrictionsMessage,
  type RestrictionsSchema,
} from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import type { CallerClaims } from '@vivarium/rpc/assertion';

/** The caller that a message of identity describes; anonymous without one. Throws Fault('internal') if it describes none. */
export function callerFromProto(message: CallerMessage | undefined): Caller {
  if (message === undefined) return ANONYMOUS;
  const { accountId, login, accountKind, superuser, credentialKind, credentialId } = message;
  if (accountKind !== 'user' && accountKind !== 'organization') throw odd(`account kind "${accountKind}"`);
  const account = { kind: 'account', accountId, login, accountKind, superuser, ...addressIn(message) } as const;
  if (credentialKind === 'session' || credentialKind === 'password' || credentialKind === 'browser') {
    // The last two open nothing but the way to a token or a session, as the routes that take them see to.
    return { ...account, credential: { kind: 'session', id: credentialId } };
  }
  if (credentialKind !== 'token') throw odd(`credential kind "${credentialKind}"`);
  // A row without scopes means none here: `parseScopes` would read an empty list as all.
  const scopes = message.scopes.length === 0 ? [] : parseScopes(message.scopes);
  const restrictions = restrictionsFromProto(message.restrictions);
  return { ...account, credential: { kind: 'token', id: credentialId, name: message.tokenName, scopes, restrictions } };
}

function addressIn({ address }: CallerMessage): { readonly address?: string } {
  return address === '' ? {} : { address };
}

/** Restrictions as `libs/access` takes them: an absent list cuts nothing, and a message cannot tell it from an empty one. */
export function restrictionsFromProto(message: RestrictionsMessage | undefined): Restrictions {
  return restrictionsOf({
    channels: message?.channels,
    packages: message?.packages,
    labels: message?.labels,
    subdirs: message?.subdirs,
    cidrs: message?.cidrs,
  });
}

/** The message for restrictions. */
export function restrictionsToProto(restrictions: Restrictions): MessageInitShape<typeof RestrictionsSchema> {
  return Object.fromEntries(Object.entries(restrictions).map(([name, list]) => [name, [...(list ?? [])]]));
}

/** What identity signs of a caller. */
export function claimsOf(message: CallerMessage): CallerClaims {
  return toJson(CallerSchema, message) as CallerClaims;
}

/** The message inside claims. Throws Fault('unauthenticated') if they are of another form. */
export function messageOfClaims(claims: CallerClaims): CallerMessage {
  try {
    return fromJson(CallerSchema, claims as JsonValue, { ignoreUnknownFields: true });
  } catch (cause) {
    throw new Fault('unauthenticated', 'The assertion of who is calling is of an unknown form. Try again.', { cause });
  }
}

function odd(what: string): Fault {
  return new Fault('internal', 'Something went wrong on our side.', { cause: new Error(`a caller with ${what}`) });
}
