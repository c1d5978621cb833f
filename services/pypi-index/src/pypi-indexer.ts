import { type ChannelFold, ChannelIndexer, factsOf, type State } from '@vivarium/indexing/channel-indexer';
import { Claims } from '@vivarium/indexing/doomed';
import { Recent } from '@vivarium/indexing/recent';
import { Fold, type Remembered } from './fold.js';
import { type Moves, moveHeads } from './move-heads.js';
import { Objects } from './objects.js';
import type { PypiIndexPorts } from './ports.js';
import { readGenerations, readState } from './stored.js';

/** Injection token of the ChannelIndexer. */
export const INDEXER = Symbol('pypi indexer');

// In projects, about 500 bytes each.
const MEMORY_PROJECTS = 100_000;

/** The indexer of Python projects. */
export function pypiIndexer(ports: PypiIndexPorts): ChannelIndexer {
  const { pool } = ports;
  const memory = new Recent<Remembered>(MEMORY_PROJECTS);
  const claims = new Claims(pool);
  return new ChannelIndexer({
    ...ports,
    kind: 'pypi',
    readState: (channelId) => readState(pool, channelId),
    readGenerations: (channelIds) => readGenerations(pool, channelIds),
    begin: (channelId, from, fromNothing) => begin(ports, { channelId, from, fromNothing, memory, claims }),
  });
}

interface Beginning {
  readonly channelId: string;
  readonly from: State;
  readonly fromNothing: boolean;
  readonly memory: Recent<Remembered>;
  readonly claims: Claims;
}

async function begin(ports: PypiIndexPorts, beginning: Beginning): Promise<ChannelFold> {
  const { pool, blobs, log } = ports;
  const objects = new Objects(blobs);
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

function move({ invalidations }: PypiIndexPorts, claims: Claims, moves: Moves): Promise<boolean> {
  return claims.move(moves.channelId, hashesIn(moves), async (tx) => {
    if (!(await moveHeads(tx, moves))) return false;
    const facts = factsOf('pypi', moves.channelId, moves.from, moves.to, moves.heads.length);
    if (facts.length > 0) await invalidations.add(tx, facts);
    return true;
  });
}

/** The objects that rows will name which did not before. */
function hashesIn({ projects, heads }: Moves): readonly string[] {
  return [
    ...projects.flatMap(({ pages }) => [pages.json, pages.jsonGzip, pages.html, pages.htmlGzip]),
    ...heads.flatMap(({ hash }) => hash ?? []),
  ];
}
