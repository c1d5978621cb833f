import { OrganizationAccounts } from '@vivarium/contracts/gen/vivarium/identity/v1/organization_accounts_pb';
import { ChannelEnds } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_ends_pb';
import { Fault } from '@vivarium/fault/fault';
import { type Call, clientOf } from '@vivarium/rpc/rpc';
import type { Db } from './db.js';
import type { Owning } from './owning.js';
import type { AuthzPorts } from './ports.js';
import { changeStanding } from './standing.js';

/**
 * Deletes an organization for ever and gives how many packages went with it. Its owners go last: interrupted anywhere, it
 * is theirs to delete again, and each step that was done is done. Once the account is gone nobody can ask any more, and
 * what is left of its groups says who was in an organization that does not exist.
 * Throws Fault('invalid') unless confirmed by its login, Fault('conflict') while packages remain.
 */
export async function deleteOrganization(
  ports: AuthzPorts,
  db: Db,
  { asker, organization }: Owning,
  asked: { readonly confirm: string; readonly deletePackages: boolean },
  within: Call,
): Promise<bigint> {
  const { id, login } = organization;
  if (asked.confirm.trim().toLowerCase() !== login) {
    throw new Fault('invalid', `To delete the organization for ever, say its login once more: "confirm": "${login}".`);
  }
  const { trust, bus, invalidations, clock } = ports;
  const ends = clientOf(ChannelEnds, bus, { assertion: await trust.assertionFor('packages') });
  const { deletePackages } = asked;
  const closing = { id, login, deletePackages, actor: asker.message };
  const { packages } = await ends.close(closing, { within, timeoutMs: STEP_MS });
  const accounts = clientOf(OrganizationAccounts, bus, { assertion: await trust.assertionFor('identity') });
  await accounts.delete({ id, actor: asker.message }, { within, timeoutMs: STEP_MS });
  await changeStanding({ db, invalidations, clock }, id, async (tx) => {
    // The members go with their groups. The row stays: its version is what gateways know of the standing in it.
    await tx.group.deleteMany({ where: { organizationId: id } });
  });
  return packages;
}

// All of a large channel is removed in one go.
const STEP_MS = 60_000;
