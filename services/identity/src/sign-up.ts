import { createHash } from 'node:crypto';
import type { SignUpRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault, isFault } from '@vivarium/fault/fault';
import { insertUser, parseUser } from './create-user.js';
import { ask, type Db, type Tx } from './db.js';
import type { Account } from './gen/prisma/client.js';
import { standingIn } from './makers.js';
import { parseEmail } from './person.js';
import type { IdentityPorts } from './ports.js';

/**
 * Makes an account for somebody who asks for it, as far as the setting allows; an invitation counts once. Throws
 * Fault('forbidden') where nobody may, or not without an invitation that counts; Fault('invalid'), Fault('conflict').
 */
export async function signUp(ports: IdentityPorts, db: Db, request: SignUpRequest): Promise<Account> {
  const policy = ports.signUp ?? 'closed';
  if (policy === 'closed') {
    throw new Fault('forbidden', 'nobody signs up on this server; ask an administrator for an account');
  }
  const email = request.email === '' ? undefined : parseEmail(request.email);
  // Before the password is hashed, so that nobody without an invitation makes us work; and again when it is taken.
  if (policy === 'invitation') await needOwner(ports, await needInvitation(db, ports, request.invitation, email));
  const { login, password, name } = request;
  const user = await parseUser(ports, { login, email, password, superuser: false, name });
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const invitation =
        policy === 'invitation' ? (await needInvitation(tx, ports, request.invitation, email)).id : undefined;
      const actor = { login: user.login, address: request.address };
      const how = invitation === undefined ? { signedUp: 'openly' } : { signedUp: `by invitation ${invitation}` };
      const account = await insertUser(tx, ports, user, actor, how).catch(hideHolder);
      if (invitation !== undefined) await takeInvitation(tx, invitation, account);
      return account;
    }),
  );
}

interface Invitation {
  readonly id: string;
  readonly email: string | null;
  readonly makerId: string;
  readonly organizationId: string | null;
}

/** The invitation, locked against others if in a transaction. Throws Fault('forbidden') if it does not count. */
async function needInvitation(
  tx: Db | Tx,
  { clock }: IdentityPorts,
  secret: string,
  email: string | undefined,
): Promise<Invitation> {
  const sha256 = createHash('sha256').update(secret).digest();
  // By invitations_sha256_key. One that its maker might not give any more does not count either.
  const [row] = await ask(
    tx.$queryRaw<Invitation[]>`
      SELECT i.id, i.email, i.maker_id AS "makerId", i.organization_id AS "organizationId"
      FROM invitations i JOIN accounts m ON m.id = i.maker_id
      WHERE i.sha256 = ${sha256} AND i.used_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > ${new Date(clock())}
        AND NOT m.disabled AND m.deleted_at IS NULL AND (m.superuser OR i.organization_id IS NOT NULL)
      FOR UPDATE OF i`,
  );
  if (row === undefined || (row.email !== null && row.email !== email)) throw noInvitation();
  return row;
}

/** Asked before the transaction: nothing waits on the bus inside one. */
async function needOwner(ports: IdentityPorts, { organizationId, makerId }: Invitation): Promise<void> {
  if (organizationId === null) return;
  const { standing } = await standingIn(ports, organizationId, makerId);
  if (!standing.owner) throw noInvitation();
}

function noInvitation(): Fault {
  return new Fault(
    'forbidden',
    'signing up needs an invitation that was not used and has not expired, with the e-mail address it was made for; ask who invited you for a new one',
  );
}

async function takeInvitation(tx: Tx, id: string, account: Account): Promise<void> {
  await tx.$executeRaw`
    UPDATE invitations SET used_at = ${account.createdAt}, used_by = ${account.id} WHERE id = ${id}`;
}

/** Strangers are not told which of the two is in use, as e-mail addresses are nobody's business. */
function hideHolder(error: unknown): never {
  if (!isFault(error) || error.code !== 'conflict') throw error;
  throw new Fault('conflict', 'This login or this e-mail address is in use; choose another.');
}
