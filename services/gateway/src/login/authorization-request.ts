// The request of a program to be let in by the session of a browser. Source: RFC 6749 4.1.1, RFC 7636 4.3.
import { Fault } from '@vivarium/fault/fault';

export interface AuthorizationRequest {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly state: string;
  readonly codeChallenge: string;
}

/** A program as identity knows it. */
export interface KnownProgram {
  readonly name: string;
  readonly redirectUris: readonly string[];
}

/** An error that the program is told, at an address that is known to be its own. */
export class AuthorizationRefused extends Error {
  constructor(
    readonly redirectUri: string,
    readonly state: string,
    readonly code: 'invalid_request' | 'unsupported_response_type' | 'access_denied' | 'server_error',
    readonly description: string,
  ) {
    super(description);
  }
}

/** Which program asks, before anything else is believed. Throws Fault('invalid') without one. */
export function clientIdIn(fields: ReadonlyMap<string, string>): string {
  const clientId = fields.get('client_id') ?? '';
  if (/^[!-~]{1,100}$/.test(clientId)) return clientId;
  throw new Fault('invalid', 'The address lacks "client_id": start the login from the program that needs it.');
}

/**
 * The request of that program. Throws Fault('invalid') for a redirect that is not registered for it, which a person is
 * told and nobody is sent to; AuthorizationRefused for all else that is wrong, which the program is told.
 */
export function parseAuthorizationRequest(
  fields: ReadonlyMap<string, string>,
  program: KnownProgram,
): AuthorizationRequest {
  const redirectUri = fields.get('redirect_uri') ?? '';
  if (!program.redirectUris.includes(redirectUri)) {
    throw new Fault(
      'invalid',
      `The address to go back to is not one of ${program.name}. Somebody may be trying to get into your account.`,
    );
  }
  const state = fields.get('state') ?? '';
  const refuse = (code: AuthorizationRefused['code'], description: string): never => {
    throw new AuthorizationRefused(redirectUri, /^[ -~]{1,500}$/.test(state) ? state : '', code, description);
  };
  if (!/^[ -~]{1,500}$/.test(state)) refuse('invalid_request', 'state is needed, of printable ASCII');
  if (fields.get('response_type') !== 'code') refuse('unsupported_response_type', 'response_type must be code');
  if (fields.get('code_challenge_method') !== 'S256') {
    refuse('invalid_request', 'code_challenge_method must be S256');
  }
  const codeChallenge = fields.get('code_challenge') ?? '';
  if (!/^[\w-]{43}$/.test(codeChallenge)) {
    refuse('invalid_request', 'code_challenge must be a SHA-256 in base64url');
  }
  return { clientId: clientIdIn(fields), redirectUri, state, codeChallenge };
}

/** The request as one text, which `parseAuthorizationRequest` reads again: for a form, or an address of ours. */
export function queryOf({ clientId, redirectUri, state, codeChallenge }: AuthorizationRequest): string {
  return String(
    new URLSearchParams({
      client_id: clientId,
      response_type: 'code',
      redirect_uri: redirectUri,
      state,
      code_challenge: codeChallenge,
      code_challenge_method: 'S256',
    }),
  );
}

/** Where the browser goes with the answer: only ever to an address that is registered. */
export function locationOf(redirectUri: string, answer: Readonly<Record<string, string>>): string {
  const location = new URL(redirectUri);
  for (const [name, value] of Object.entries(answer)) location.searchParams.set(name, value);
  return location.href;
}
