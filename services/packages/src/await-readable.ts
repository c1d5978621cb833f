import type { PackagesPorts } from './ports.js';
import type { IndexedKind, Readability } from './readability.js';

// How long a publisher's client is kept waiting; what is not readable by then is pending.
export const AWAIT_MS = 5_000;

/**
 * True once the change can be seen everywhere: the indexes of these kinds have it, and no gateway remembers anything older.
 * Never throws: the change is committed, and a wait that fails only means that it cannot be promised yet.
 */
export async function awaitReadable(
  ports: Pick<PackagesPorts, 'invalidations' | 'log'>,
  readability: Readability,
  change: {
    readonly channelId: string;
    readonly generation: number;
    readonly kinds: readonly IndexedKind[];
    readonly timeoutMs?: number;
  },
): Promise<boolean> {
  const { channelId, generation, kinds, timeoutMs = AWAIT_MS } = change;
  const barrier = ports.invalidations.barrier(timeoutMs).catch((error: unknown) => {
    ports.log.warn(
      { err: error, channelId, generation },
      'a change is committed, and it is unknown who has heard of it',
    );
    return false;
  });
  const waits = kinds.map((kind) => readability.wait(channelId, kind, generation, timeoutMs));
  return (await Promise.all([barrier, ...waits])).every((isReached) => isReached);
}

/** The kinds that have an index, among these. */
export function indexedKinds(kinds: readonly string[]): readonly IndexedKind[] {
  return (['conda', 'pypi'] as const).filter((kind) => kinds.includes(kind));
}
