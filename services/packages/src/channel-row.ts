import { randomBytes } from 'node:crypto';
import { isChannelVisible } from '@vivarium/access/admission';
import type { Audience, Visibility } from '@vivarium/access/audience';
import { strangerView } from '@vivarium/access/view';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import type { PackagesPorts } from './ports.js';
import { ask, type Queryable } from './query.js';

/** A channel as it is, with the audiences that its packages have now. */
export interface ChannelRow {
  readonly id: string;
  readonly login: string;
  readonly kind: 'user' | 'organization';
  readonly incarnation: string;
  readonly defaultVisibility: Visibility;
  readonly generation: number;
  readonly floor: number;
  readonly audiences: readonly Audience[];
  readonly createdAt: Date;
}

type Stored = Omit<ChannelRow, 'generation' | 'floor'> & { readonly generation: string; readonly floor: string };

const LOGIN = /^[a-z0-9][a-z0-9_-]{1,62}$/;

// Skips through packages_shown from one audience to the next: the cost is in audiences, not in packages.
const FIND = (column: 'login' | 'id') => `
WITH RECURSIVE c AS (SELECT * FROM channels WHERE ${column} = $1 AND closed_at IS NULL),
found AS (
  SELECT n.* FROM c, LATERAL (
    SELECT p.audience_id, p.audience FROM packages p WHERE p.channel_id = c.id AND p.removed_at IS NULL
    ORDER BY p.channel_id, p.audience_id LIMIT 1) n
  UNION ALL
  SELECT n.* FROM found, c, LATERAL (
    SELECT p.audience_id, p.audience FROM packages p
    WHERE p.channel_id = c.id AND p.removed_at IS NULL AND p.audience_id > found.audience_id
    ORDER BY p.channel_id, p.audience_id LIMIT 1) n
)
SELECT c.id, c.login, c.kind, c.incarnation, c.default_visibility AS "defaultVisibility", c.generation, c.floor,
  c.created_at AS "createdAt", coalesce((SELECT jsonb_agg(audience ORDER BY audience_id) FROM found), '[]') AS audiences
FROM c`;

/**
 * The channel of an account, which exists as soon as the account does; undefined if there is no such account. A channel that
 * strangers may not know of costs the calls that a missing one costs.
 */
export async function findChannel(
  ports: Pick<PackagesPorts, 'pool' | 'bus' | 'trust'>,
  login: string,
): Promise<ChannelRow | undefined> {
  if (!LOGIN.test(login)) return undefined;
  const known = await readChannel(ports.pool, 'login', login);
  if (known !== undefined && isChannelVisible(strangerView(), known)) return known;
  const account = await findAccount(ports, login);
  if (known !== undefined) return known;
  if (account === undefined || account.login !== login) return undefined;
  await ask(
    ports.pool,
    'INSERT INTO channels (id, login, kind, incarnation) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
    [account.id, login, account.kind, randomBytes(12).toString('hex')],
  );
  return readChannel(ports.pool, 'login', login);
}

/** The row of a channel that is not closed. By channels_login_key or channels_pkey. */
export async function readChannel(
  db: Queryable,
  column: 'login' | 'id',
  value: string,
): Promise<ChannelRow | undefined> {
  const [row] = await ask<Stored>(db, FIND(column), [value]);
  return row === undefined ? undefined : { ...row, generation: Number(row.generation), floor: Number(row.floor) };
}

/** A channel that was closed, with its last generation. By channels_login_key. */
export async function findClosedChannel(
  db: Queryable,
  login: string,
): Promise<{ readonly id: string; readonly generation: number } | undefined> {
  if (!LOGIN.test(login)) return undefined;
  const [row] = await ask<{ id: string; generation: string }>(
    db,
    'SELECT id, generation FROM channels WHERE login = $1 AND closed_at IS NOT NULL',
    [login],
  );
  return row === undefined ? undefined : { id: row.id, generation: Number(row.generation) };
}

async function findAccount(ports: Pick<PackagesPorts, 'bus' | 'trust'>, login: string) {
  const assertion = await ports.trust.assertionFor('identity');
  try {
    return (await clientOf(Accounts, ports.bus, { assertion }).find({ by: { case: 'login', value: login } })).account;
  } catch (error) {
    if (isFault(error) && error.code === 'not_found') return undefined;
    throw error;
  }
}
