import { type ChannelFold, ChannelIndexer, factsOf, type State } from '@vivarium/indexing/channel-indexer';
import { Claims } from '@vivarium/indexing/doomed';
import { Recent } from '@vivarium/indexing/recent';
import { Fold, type Remembered } from './fold.js';
import { inLeafOrder } from './leaves.js';
import { type Moves, moveHeads } from './move-heads.js';
import { Objects } from './objects.js';
import type { CondaIndexPorts } from './ports.js';
import { readGenerations, readState } from './stored.js';

/** Injection token of the ChannelIndexer. */
export const INDEXER = Symbol('conda indexer');

// In names, about 250 bytes each; and in characters of chunks.
const MEMORY_NAMES = 300_000;
const MEMORY_TEXT = 32 * 2 ** 20;

/** The indexer of conda channels. */
export function condaIndexer(ports: CondaIndexPorts): ChannelIndexer {
  const { pool } = ports;
  const memory = new Recent<Remembered>(MEMORY_NAMES);
  const texts = new Recent<string>(MEMORY_TEXT);
  const claims = new Claims(pool);
  return new ChannelIndexer({
    ...ports,
    kind: 'conda',
    readState: (channelId) => readState(pool, channelId),
    readGenerations: (channelIds) => readGenerations(pool, channelIds),
    begin: (channelId, from, fromNothing) => begin(ports, { channelId, from, fromNothing, memory, texts, claims }),
    ordered: inLeafOrder,
  });
}

interface Beginning {
  readonly channelId: string;
  readonly from: State;
  readonly fromNothing: boolean;
  readonly memory: Recent<Remembered>;
  readonly texts: Recent<string>;
  readonly claims: Claims;
}

async function begin(ports: CondaIndexPorts, beginning: Beginning): Promise<ChannelFold> {
  const { pool, blobs, log } = ports;
  const objects = new Objects(blobs, beginning.texts);
  const fold = new Fold({ ...beginning, pool, objects, log });
  if (beginning.fromNothing) await fold.expectAll();
  return {
    async take(names, records) {
      await fold.take(names, records);
      // Of a channel that is read as a whole, only so much waits to be stored.
      if (names.length > 1) await objects.settled();
    },
    async finish(generation) {
      const { moves, keep } = await fold.finish(generation);
      if (!(await move(ports, beginning.claims, moves))) return undefined;
      keep();
      return moves.heads.length;
    },
    get names() {
      return fold.names;
    },
  };
}

function move({ clock, invalidations }: CondaIndexPorts, claims: Claims, moves: Moves): Promise<boolean> {
  return claims.move(moves.channelId, hashesIn(moves), async (tx) => {
    if (!(await moveHeads(tx, moves, new Date(clock())))) return false;
    const facts = factsOf('conda', moves.channelId, moves.from, moves.to, moves.heads.length);
    if (facts.length > 0) await invalidations.add(tx, facts);
    return true;
  });
}

/** The objects that rows will name which did not before. */
function hashesIn({ shards, chunks, heads }: Moves): readonly string[] {
  return [
    ...shards.map(({ hash }) => hash),
    ...chunks.flatMap(({ tarBz2, conda }) => [...tarBz2, ...conda]),
    ...heads.flatMap(({ hash }) => hash ?? []),
  ];
}
