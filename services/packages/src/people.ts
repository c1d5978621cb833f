import { AccountNames } from '@vivarium/contracts/gen/vivarium/identity/v1/account_names_pb';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import type { PackagesPorts } from './ports.js';

type AskPorts = Pick<PackagesPorts, 'bus' | 'trust'>;

/** A user by id and by the names that people know. */
export interface Person {
  readonly id: string;
  readonly login: string;
  readonly name: string;
}

const NAMES_PAGE = 1_000;

/**
 * The user of this login. Throws Fault('not_found') in one sentence for a login that nobody has and for an organization,
 * which the asker may not know of.
 */
export async function findUser(ports: AskPorts, text: string): Promise<Person> {
  const login = text.toLowerCase();
  const account = await findAccount(ports, login);
  if (account?.kind === 'user') return account;
  throw noUser(login);
}

export function noUser(login: string): Fault {
  return new Fault('not_found', `There is no user "${login.slice(0, 70)}".`);
}

/** Users by their ids, in the order of their logins. Those whose account is gone are left out. */
export async function namePeople(ports: AskPorts, ids: readonly string[]): Promise<readonly Person[]> {
  const assertion = await ports.trust.assertionFor('identity');
  const names = clientOf(AccountNames, ports.bus, { assertion });
  const people: Person[] = [];
  for (let at = 0; at < ids.length; at += NAMES_PAGE) {
    people.push(...(await names.ofIds({ ids: ids.slice(at, at + NAMES_PAGE) })).accounts);
  }
  return people.sort((a, b) => (a.login < b.login ? -1 : 1));
}

async function findAccount(ports: AskPorts, login: string) {
  const assertion = await ports.trust.assertionFor('identity');
  try {
    return (await clientOf(Accounts, ports.bus, { assertion }).find({ by: { case: 'login', value: login } })).account;
  } catch (error) {
    if (isFault(error) && error.code === 'not_found') return undefined;
    throw error;
  }
}
