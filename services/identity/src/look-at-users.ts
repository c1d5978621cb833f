import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { ListUsersRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { Fault } from '@vivarium/fault/fault';
import { callerFromProto } from '@vivarium/trust/caller';
import { ownAccountMessageOf } from './account-message.js';
import { needAdministration, needScope } from './acting.js';
import { ask, type Db } from './db.js';
import type { Account } from './gen/prisma/client.js';
import { foldLogin, isLogin } from './login.js';

const LIMIT_MAX = 200;
const QUERY_LENGTH_MAX = 100;

/** Users that hold the text in login, name or e-mail address, by login. Throws Fault('forbidden') unless for superusers. */
export async function listUsers(db: Db, caller: Caller, { query, after, limit }: ListUsersRequest) {
  needAdministration(callerFromProto(caller), 'listing users', 'api:read');
  const text = query.trim().toLowerCase();
  if (text.length > QUERY_LENGTH_MAX || /\p{Cc}/u.test(text)) {
    throw new Fault('invalid', `What users are searched by has at most ${QUERY_LENGTH_MAX} printable characters.`);
  }
  if (limit < 1 || limit > LIMIT_MAX) {
    throw new Fault('invalid', `A page has 1 to ${LIMIT_MAX} users, not ${limit}.`);
  }
  const begin = isLogin(after) ? after : '';
  // In the order of accounts_login_key, from `after` on. One row more tells whether there is a next page.
  const ids = await ask(
    db.$queryRaw<{ id: string }[]>`
      SELECT id FROM accounts
      WHERE kind = 'user' AND deleted_at IS NULL AND login > ${begin} AND (${text} = ''
        OR strpos(login, ${text}) > 0 OR strpos(lower(name), ${text}) > 0 OR strpos(email, ${text}) > 0)
      ORDER BY login LIMIT ${limit + 1}`,
  );
  const shown = ids.slice(0, limit).map(({ id }) => id);
  const rows = await ask(db.account.findMany({ where: { id: { in: shown } }, orderBy: { login: 'asc' } }));
  const next = ids.length > limit ? (rows.at(-1)?.login ?? '') : '';
  return { accounts: rows.map(ownAccountMessageOf), next };
}

interface Counts {
  readonly tokens: bigint;
  readonly sessions: bigint;
  readonly seen: Date | null;
  readonly changed: Date | null;
}

/** One user as superusers, and itself, may know it. Throws Fault('forbidden'), and Fault('not_found') to superusers. */
export async function describeUser(db: Db, caller: Caller, text: string, nowMs: number) {
  const login = foldLogin(text);
  const asker = callerFromProto(caller);
  if (caller.accountKind === 'user' && login === caller.login) needScope(asker, 'api:read', 'reading an account');
  else needAdministration(asker, "reading another's account", 'api:read');
  const account = await findUser(db, login);
  const now = new Date(nowMs);
  // By tokens_living_name_key, sessions_account_id_idx and passwords_pkey.
  const [counts] = await ask(
    db.$queryRaw<Counts[]>`
      SELECT
        (SELECT count(*) FROM tokens WHERE owner_id = ${account.id} AND revoked_at IS NULL AND expires_at > ${now}
          AND remaining_uses IS DISTINCT FROM 0) AS tokens,
        (SELECT count(*) FROM sessions WHERE account_id = ${account.id} AND revoked_at IS NULL AND expires_at > ${now})
          AS sessions,
        greatest(
          (SELECT max(last_used_at) FROM tokens WHERE owner_id = ${account.id} AND revoked_at IS NULL),
          (SELECT max(last_used_at) FROM sessions WHERE account_id = ${account.id} AND revoked_at IS NULL)
        ) AS seen,
        (SELECT changed_at FROM passwords WHERE account_id = ${account.id}) AS changed`,
  );
  return {
    account: ownAccountMessageOf(account),
    tokens: counts?.tokens ?? 0n,
    sessions: counts?.sessions ?? 0n,
    lastSeenAtMs: BigInt(counts?.seen?.getTime() ?? 0),
    passwordChangedAtMs: BigInt(counts?.changed?.getTime() ?? 0),
  };
}

async function findUser(db: Db, login: string): Promise<Account> {
  const account = isLogin(login)
    ? await ask(db.account.findFirst({ where: { login, kind: 'user', deletedAt: null } }))
    : null;
  if (account === null) throw new Fault('not_found', `There is no user "${login.slice(0, 70)}".`);
  return account;
}
