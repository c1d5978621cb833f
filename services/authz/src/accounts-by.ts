import { type AccountName, AccountNames } from '@vivarium/contracts/gen/vivarium/identity/v1/account_names_pb';
import { type Account, Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import type { AuthzPorts } from './ports.js';

type AskPorts = Pick<AuthzPorts, 'bus' | 'trust'>;

/** The account of a login in any case, as identity knows it now; undefined if there is none. */
export async function accountByLogin({ bus, trust }: AskPorts, text: string): Promise<Account | undefined> {
  const assertion = await trust.assertionFor('identity');
  try {
    const by = { case: 'login', value: text.trim().toLowerCase() } as const;
    return (await clientOf(Accounts, bus, { assertion }).find({ by })).account;
  } catch (error) {
    if (isFault(error) && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** What these accounts are called, by id. Those that are deleted are left out. At most 1,000. */
export async function namesById(
  { bus, trust }: AskPorts,
  ids: readonly string[],
): Promise<ReadonlyMap<string, AccountName>> {
  if (ids.length === 0) return new Map();
  const assertion = await trust.assertionFor('identity');
  const { accounts } = await clientOf(AccountNames, bus, { assertion }).ofIds({ ids: [...ids] });
  return new Map(accounts.map((account) => [account.id, account]));
}
