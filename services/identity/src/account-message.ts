import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AccountSchema } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import type { Account } from './gen/prisma/client.js';
import { profileIn } from './profile.js';

/** An account as others see it: without its e-mail address. */
export function accountMessageOf(row: Account): MessageInitShape<typeof AccountSchema> {
  return {
    id: row.id,
    login: row.login,
    kind: row.kind,
    name: row.name,
    superuser: row.superuser,
    disabled: row.disabled,
    createdAtMs: BigInt(row.createdAt.getTime()),
    profile: profileIn(row.profile),
  };
}

/** An account as it sees itself. */
export function ownAccountMessageOf(row: Account): MessageInitShape<typeof AccountSchema> {
  return { ...accountMessageOf(row), email: row.email ?? '' };
}
