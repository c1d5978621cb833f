import type { Message } from './deliver.js';

/** A token that somebody has found, and that counted until now. */
export interface Found {
  readonly id: string;
  readonly name: string;
  readonly makerId: string;
  readonly owner: { readonly id: string; readonly login: string; readonly kind: string };
  readonly url: string;
  readonly source: string;
}

/** What an account is told of a token that somebody found. The address is a stranger's word, and is said to be. */
export function leakMessageOf(token: Found, accountId: string, revoked: number): Message {
  const { id, name, owner, url, source } = token;
  const which = owner.kind === 'organization' ? `The token "${name}" of ${owner.login}` : `Your token "${name}"`;
  const more = revoked === 1 ? '' : `, and with it ${revoked - 1} that it made`;
  const text = [
    `${which} was reported as leaked and is revoked${more}.`,
    `${whereOf(url, source)} Until now whoever saw it could use it.`,
    'Look in the audit trail for what was done by it, make a new one where it is used, and keep that one out of what others can read.',
  ].join(' ');
  const detail = { token_id: id, name, owner: owner.login, url, source, revoked };
  return { accountId, key: `token.leaked ${id} ${accountId}`, kind: 'token.leaked', text, detail };
}

function whereOf(url: string, source: string): string {
  const place = source === '' ? url : `${url} (${source})`.trim();
  return place === '' ? 'Where it was found was not said.' : `Who reported it says that it was found here: ${place} .`;
}
