import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Restrictions } from '@vivarium/access/restriction';
import type { TokenSchema } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { restrictionsToProto } from '@vivarium/trust/caller';
import type { Token } from './gen/prisma/client.js';

/** What may be said of a token: everything but the secret, which nobody has any more. */
export function tokenMessageOf(row: Token, ownerLogin: string): MessageInitShape<typeof TokenSchema> {
  return {
    id: row.id,
    name: row.name,
    ownerLogin,
    scopes: row.scopes,
    // Only `createToken` writes the column.
    restrictions: restrictionsToProto(row.restrictions as Restrictions),
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
