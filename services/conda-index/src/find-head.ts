import { databaseFaultOf } from '@vivarium/db/database-fault';
import type { State } from '@vivarium/indexing/channel-indexer';
import type { Place } from './place.js';
import type { CondaIndexPorts } from './ports.js';

/** The hash of a place's manifest, empty if nothing is there, with what it was read at. Throws Fault('unavailable'). */
export async function findHead(
  pool: CondaIndexPorts['pool'],
  channelId: string,
  { label, subdir }: Place,
): Promise<State & { readonly hash: string }> {
  try {
    // One statement, so that the hash and the versions are of one moment. By states_pkey and heads_pkey.
    const { rows } = await pool.query<{ generation: string; rebuilds: string; hash: string | null }>({
      name: 'find head',
      text: `SELECT s.generation, s.rebuilds, h.manifest_hash AS hash FROM states s
        LEFT JOIN heads h ON h.channel_id = s.channel_id AND h.label = $2 AND h.subdir = $3 WHERE s.channel_id = $1`,
      values: [channelId, label, subdir],
    });
    const { generation = '0', rebuilds = '0', hash = null } = rows[0] ?? {};
    return { generation: Number(generation), rebuilds: Number(rebuilds), hash: hash ?? '' };
  } catch (error) {
    throw databaseFaultOf(error);
  }
}
