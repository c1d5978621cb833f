import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { RenameTokenRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { retryConflicts } from '@vivarium/db/open';
import { lockCaller } from './acting.js';
import type { Db } from './db.js';
import type { Token } from './gen/prisma/client.js';
import { needOwnership, type TokenOwner } from './owners.js';
import type { IdentityPorts } from './ports.js';
import { revokedToken, unknownToken } from './refusals.js';
import { nameInUse, parseTokenName } from './token-name.js';

/** Gives a token another name. Throws Fault('conflict') for a name in use, Fault('invalid') for none. */
export async function renameToken(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  owner: TokenOwner,
  request: RenameTokenRequest,
): Promise<Token> {
  const name = parseTokenName(request.name);
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      // Everything that gives or takes this owner's names goes one after the other.
      await tx.$executeRaw`SELECT 1 FROM accounts WHERE id = ${owner.id} FOR NO KEY UPDATE`;
      const acting = await lockCaller(tx, caller, ports.clock());
      needOwnership(acting, owner, 'renaming a token');
      const row = await tx.token.findFirst({ where: { id: request.id, ownerId: owner.id } });
      if (row === null) throw unknownToken();
      if (row.revokedAt !== null) throw revokedToken(row.revokedAt);
      if (row.name === name) return row;
      // By tokens_living_name_key.
      const holder = await tx.token.findFirst({ where: { ownerId: owner.id, name, revokedAt: null } });
      if (holder !== null) throw nameInUse(owner.login, name);
      const renamed = await tx.token.update({ where: { id: row.id }, data: { name, version: { increment: 1 } } });
      // Reasons name the token.
      await ports.invalidations.add(tx, [{ tag: `token:${row.id}`, version: Number(renamed.version) }]);
      await addAudit(
        tx,
        {
          actor: acting.message,
          action: 'token.rename',
          ownerId: owner.id,
          resource: `token ${row.name} of ${owner.login}`,
          before: { name: row.name },
          after: { name },
        },
        ports.clock(),
      );
      return renamed;
    }),
  );
}
