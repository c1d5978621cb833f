import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Restrictions } from '@vivarium/access/restriction';
import type { TokenSchema } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { restrictionsToProto } from '@vivarium/trust/caller';
import { ask, type Db } from './db.js';
import type { Token } from './gen/prisma/client.js';

/** What may be said of tokens: everything but the secrets, which nobody has any more. Accounts are told by their logins. */
export async function tokenMessagesOf(
  db: Pick<Db, 'account'>,
  rows: readonly Token[],
): Promise<MessageInitShape<typeof TokenSchema>[]> {
  const ids = rows.flatMap((row) => [row.ownerId, row.makerId, ...(restrictionsIn(row).channels ?? [])]);
  // By accounts_pkey. A channel has the id of the account whose it is.
  const accounts = await ask(
    db.account.findMany({ where: { id: { in: [...new Set(ids)] } }, select: { id: true, login: true } }),
  );
  const logins = new Map(accounts.map(({ id, login }) => [id, login]));
  return rows.map((row) => messageOf(row, (id) => logins.get(id) ?? id));
}

function messageOf(row: Token, loginOf: (id: string) => string): MessageInitShape<typeof TokenSchema> {
  const restrictions = restrictionsIn(row);
  return {
    id: row.id,
    name: row.name,
    ownerLogin: loginOf(row.ownerId),
    makerLogin: loginOf(row.makerId),
    scopes: row.scopes,
    restrictions: restrictionsToProto(restrictions),
    channelLogins: (restrictions.channels ?? []).map(loginOf),
    createdAtMs: BigInt(row.createdAt.getTime()),
    expiresAtMs: BigInt(row.expiresAt.getTime()),
    lastUsedAtMs: BigInt(row.lastUsedAt?.getTime() ?? 0),
    lastUsedAddress: row.lastUsedAddress,
    hostname: row.hostname,
    address: row.address,
    url: row.url,
    remainingUses: row.remainingUses ?? -1n,
  };
}

// Only `createToken` writes the column.
function restrictionsIn(row: Token): Restrictions {
  return row.restrictions as Restrictions;
}
