/** When a key signs. It is published from the moment it is made. */
export interface KeyTimes {
  readonly kid: string;
  readonly signsFromMs: number;
}

export interface KeyPolicy {
  /** How long a key signs before the next one takes over. */
  readonly lifetimeMs: number;
  /** How long anybody may remember a published key set. A new key is published that long before it signs. */
  readonly cacheMs: number;
}

/** The key that signs at this moment: the last whose time has come. */
export function signerOf<K extends KeyTimes>(keys: readonly K[], nowMs: number): K | undefined {
  return inOrder(keys).findLast((key) => key.signsFromMs <= nowMs);
}

/**
 * Since when a key that is missing now shall sign, or undefined if there are one that signs and a next one.
 * The very first signs at once: nobody remembers a key set without it.
 */
export function missingKeySignsFrom(keys: readonly KeyTimes[], nowMs: number, policy: KeyPolicy): number | undefined {
  const signer = signerOf(keys, nowMs);
  if (signer === undefined) return nowMs;
  if (keys.some((key) => key.signsFromMs > nowMs)) return undefined;
  return Math.max(signer.signsFromMs + policy.lifetimeMs, nowMs + policy.cacheMs);
}

/** Keys that a successor replaced longer than a cache life ago: nothing that they signed counts any more. */
export function outlivedKeys<K extends KeyTimes>(keys: readonly K[], nowMs: number, policy: KeyPolicy): readonly K[] {
  const ordered = inOrder(keys);
  return ordered.filter((_, at) => {
    const successor = ordered[at + 1];
    return successor !== undefined && successor.signsFromMs + policy.cacheMs < nowMs;
  });
}

function inOrder<K extends KeyTimes>(keys: readonly K[]): readonly K[] {
  return keys.toSorted((a, b) => a.signsFromMs - b.signsFromMs);
}
