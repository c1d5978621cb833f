import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { administers } from '@vivarium/access/administer';
import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type {
  CreateInvitationRequest,
  InvitationSchema,
} from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { callerFromProto } from '@vivarium/trust/caller';
import { type Acting, lockCaller, needScope, needSuperuser } from './acting.js';
import { ask, type Db, type Tx } from './db.js';
import { ownerOf } from './owners.js';
import { parseEmail } from './person.js';
import type { IdentityPorts } from './ports.js';
import { randomText } from './session-secret.js';

const AGE_SECONDS = 7n * 86_400n;
const AGE_SECONDS_MAX = 30n * 86_400n;
// Of one maker, at once.
const LIVING_MAX = 500;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

type InvitationInit = MessageInitShape<typeof InvitationSchema>;

/**
 * Makes an invitation and gives its secret, which is stored nowhere. Superusers invite; so do owners of an organization, in
 * its name. Throws Fault('invalid'), Fault('forbidden'), Fault('not_found') for another's organization, Fault('conflict').
 */
export async function createInvitation(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  request: CreateInvitationRequest,
): Promise<{ readonly secret: string; readonly invitation: InvitationInit }> {
  if ((ports.signUp ?? 'closed') !== 'invitation') {
    throw new Fault('conflict', `Nobody signs up by invitation here: VIVARIUM_SIGN_UP is ${ports.signUp ?? 'closed'}.`);
  }
  const email = request.email === '' ? null : parseEmail(request.email);
  const lifeMs = Number(parseAge(request.maxAgeSeconds)) * 1_000;
  const organization =
    request.organization === '' ? undefined : await ownerOf(ports, db, caller, request.organization, 'own');
  const secret = `vii-${randomText(randomBytes, ALPHABET, 32)}`;
  const [id, nowMs] = [randomUUID(), ports.clock()];
  const [now, expiresAt] = [new Date(nowMs), new Date(nowMs + lifeMs)];
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      const acting = await lockCaller(tx, caller, nowMs);
      needRight(acting, organization?.through);
      await checkCount(tx, caller.accountId, now);
      const sha256 = createHash('sha256').update(secret).digest();
      await tx.$executeRaw`
        INSERT INTO invitations (id, sha256, maker_id, organization_id, email, created_at, expires_at)
        VALUES (${id}, ${sha256}, ${caller.accountId}, ${organization?.id ?? null}, ${email}, ${now}, ${expiresAt})`;
      const after = { email, expires: expiresAt.toISOString() };
      const entry = { action: 'invitation.create', ownerId: organization?.id ?? '', resource: `invitation ${id}` };
      await addAudit(tx, { actor: acting.message, ...entry, after }, nowMs);
    }),
  );
  const [organizationLogin, makerLogin] = [organization?.login ?? '', caller.login];
  const times = { createdAtMs: BigInt(nowMs), expiresAtMs: BigInt(expiresAt.getTime()) };
  return { secret, invitation: { id, makerLogin, organizationLogin, email: email ?? '', ...times } };
}

interface Row {
  readonly id: string;
  readonly maker: string;
  readonly organization: string | null;
  readonly email: string | null;
  readonly created: Date;
  readonly expires: Date;
}

/** The invitations that still count, the youngest first: one's own, to superusers all. At most 500. */
export async function listInvitations({ clock }: IdentityPorts, db: Db, caller: Caller): Promise<InvitationInit[]> {
  const asker = callerFromProto(caller);
  needScope(asker, 'api:read', 'listing invitations');
  const everybodys = administers(asker, 'api:read');
  // By invitations_maker_id_idx.
  const rows = await ask(
    db.$queryRaw<Row[]>`
      SELECT i.id, m.login AS maker, o.login AS organization, i.email, i.created_at AS created, i.expires_at AS expires
      FROM invitations i JOIN accounts m ON m.id = i.maker_id LEFT JOIN accounts o ON o.id = i.organization_id
      WHERE i.used_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > ${new Date(clock())}
        AND (${everybodys} OR i.maker_id = ${caller.accountId})
      ORDER BY i.created_at DESC, i.id LIMIT ${LIVING_MAX}`,
  );
  return rows.map((row) => ({
    id: row.id,
    makerLogin: row.maker,
    organizationLogin: row.organization ?? '',
    email: row.email ?? '',
    createdAtMs: BigInt(row.created.getTime()),
    expiresAtMs: BigInt(row.expires.getTime()),
  }));
}

/** Takes an invitation back: one's own, or as a superuser anybody's. Throws Fault('not_found'). */
export async function revokeInvitation(ports: IdentityPorts, db: Db, caller: Caller, id: string): Promise<void> {
  const nowMs = ports.clock();
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      const acting = await lockCaller(tx, caller, nowMs);
      needScope(acting.caller, 'api:write', 'taking an invitation back');
      const everybodys = administers(acting.caller, 'api');
      // By invitations_pkey.
      const [row] = await tx.$queryRaw<{ organization: string | null; email: string | null }[]>`
        UPDATE invitations SET revoked_at = ${new Date(nowMs)}
        WHERE id = ${id} AND used_at IS NULL AND revoked_at IS NULL
          AND (${everybodys} OR maker_id = ${acting.caller.accountId})
        RETURNING organization_id AS organization, email`;
      if (row === undefined) throw new Fault('not_found', `There is no invitation "${id.slice(0, 64)}" of yours.`);
      const entry = { action: 'invitation.revoke', ownerId: row.organization ?? '', resource: `invitation ${id}` };
      await addAudit(tx, { actor: acting.message, ...entry, before: { email: row.email } }, nowMs);
    }),
  );
}

function needRight(acting: Acting, through: 'self' | 'organization' | 'superuser' | undefined): void {
  // In the name of an organization: that was decided with its owners.
  if (through === 'organization') needScope(acting.caller, 'api', 'inviting somebody');
  else needSuperuser(acting, 'inviting somebody, unless it is in the name of an organization of your own,', 'api');
}

function parseAge(seconds: bigint | undefined): bigint {
  if (seconds === undefined) return AGE_SECONDS;
  if (seconds >= 1n && seconds <= AGE_SECONDS_MAX) return seconds;
  throw new Fault('invalid', `An invitation counts for 1 to ${AGE_SECONDS_MAX} seconds, not for ${seconds}.`);
}

async function checkCount(tx: Tx, makerId: string, now: Date): Promise<void> {
  // By invitations_maker_id_idx.
  const [row] = await tx.$queryRaw<{ count: bigint }[]>`
    SELECT count(*) FROM invitations
    WHERE maker_id = ${makerId} AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ${now}`;
  if (Number(row?.count ?? 0n) < LIVING_MAX) return;
  throw new Fault('conflict', `You have ${LIVING_MAX} invitations out, which is the most; take some back.`);
}
