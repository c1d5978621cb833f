import { type AccountCaller, ANONYMOUS, type Caller, type Credential } from '@vivarium/access/caller';
import { parseScopes } from '@vivarium/access/scope';
import type { ExplainRequest } from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { NamedTokens } from '@vivarium/contracts/gen/vivarium/identity/v1/named_tokens_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { restrictionsFromProto } from '@vivarium/trust/caller';
import { accountByLogin } from './accounts-by.js';
import type { Asker } from './asker.js';
import type { AuthzPorts } from './ports.js';

/** Who would do it. */
export interface Subject {
  readonly caller: Caller;
  /** Why its account or token does not count at all; empty if it does. */
  readonly refusal: string;
}

/**
 * Whom a question is about: the asker as it came, anybody, or an account, by one of its tokens if one is named.
 * Throws Fault('not_found') for an account or a token that does not exist.
 */
export async function subjectOf(
  ports: AuthzPorts,
  asker: Asker | 'operator',
  request: ExplainRequest,
): Promise<Subject> {
  const { as, token, address } = request;
  const nobody = { caller: ANONYMOUS, refusal: '' };
  // Reserved: nobody can take this login.
  if (as === 'anonymous') return nobody;
  if (as === '' && asker !== 'operator') {
    if (token === '') return { caller: asker.caller, refusal: '' };
    return withToken(ports, asker.caller, token, address);
  }
  const account = await accountByLogin(ports, as);
  if (account === undefined) throw new Fault('not_found', `There is no account "${as.slice(0, 70)}".`);
  const { id, login, kind, superuser, disabled } = account;
  const accountKind = kind === 'organization' ? 'organization' : 'user';
  const credential = { kind: 'session', id: '' } as const;
  const caller: AccountCaller = { kind: 'account', accountId: id, login, accountKind, superuser, credential };
  if (disabled) return { caller, refusal: `the account ${login} is disabled` };
  return token === '' ? { caller, refusal: '' } : withToken(ports, caller, token, address);
}

async function withToken(
  { bus, trust }: AuthzPorts,
  account: AccountCaller,
  name: string,
  address: string,
): Promise<Subject> {
  const assertion = await trust.assertionFor('identity');
  const tokens = clientOf(NamedTokens, bus, { assertion });
  const { login, accountId } = account;
  const found = await tokens.find({ ownerId: accountId, name }).catch((error: unknown) => {
    if (!isFault(error) || error.code !== 'not_found') throw error;
    throw new Fault('not_found', `${login} has no token named "${name.slice(0, 128)}".`);
  });
  const { cidrs, ...others } = restrictionsFromProto(found.restrictions);
  const credential: Credential = {
    kind: 'token',
    id: found.id,
    name: found.name,
    scopes: found.scopes.length === 0 ? [] : parseScopes(found.scopes),
    // Without an address the question is what it may do from where it may be used.
    restrictions: address === '' || cidrs === undefined ? others : { ...others, cidrs },
  };
  const refusal = found.refusal === '' ? '' : `the token ${found.name} of ${login} does not count: ${found.refusal}`;
  return { caller: { ...account, credential }, refusal };
}
