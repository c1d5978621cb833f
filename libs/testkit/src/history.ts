/** One thing that was added, by its name. Names are added once and never removed. Times are of one clock, in ms. */
export interface Write {
  readonly name: string;
  readonly invokedMs: number;
  /** When it was acknowledged as readable everywhere; undefined if it never was: it may have happened, at any time. */
  readonly acknowledgedMs: number | undefined;
}

/** What somebody saw of all names at once. */
export interface Read {
  /** Where it was read: who reads there sees time run forwards. */
  readonly place: string;
  /** In which form; all show the same. */
  readonly format: string;
  /** Reads of one place that belong together, the first form asked for once more at the end. */
  readonly round: number;
  readonly invokedMs: number;
  readonly returnedMs: number;
  readonly names: readonly string[];
  /** Some state of the past is good enough: nothing is promised but that it was one. */
  readonly mayBeOld?: boolean;
}

export interface History {
  readonly writes: readonly Write[];
  readonly reads: readonly Read[];
}

const MOST_TOLD = 20;

/**
 * What no order of the writes explains, a sentence each, at most twenty; none means that every read shows what was written up
 * to some moment, and:
 * - holds what was acknowledged before it began, and nothing whose write began after it had ended;
 * - holds, with any write, those acknowledged before that write began;
 * - of any two reads one holds all of the other, and at one place the later one does;
 * - all forms read between two equal reads of one form are equal to it.
 */
export function violationsOf({ writes, reads }: History): readonly string[] {
  const sets = new Map(reads.map((read) => [read, new Set(read.names)] as const));
  const current = reads.filter((read) => read.mayBeOld !== true);
  const seen = (read: Read) => sets.get(read) ?? new Set<string>();
  return [
    ...unwritten(writes, reads),
    ...lost(writes, current, seen),
    ...outOfOrder(writes, reads, seen),
    ...incomparable(reads, seen),
    ...differing(current, seen),
    ...unseen(current, seen),
  ].slice(0, MOST_TOLD);
}

type SeenBy = (read: Read) => ReadonlySet<string>;

function unwritten(writes: readonly Write[], reads: readonly Read[]): readonly string[] {
  const begun = new Map(writes.map(({ name, invokedMs }) => [name, invokedMs]));
  return reads.flatMap((read) =>
    read.names.flatMap((name) => {
      const invokedMs = begun.get(name);
      if (invokedMs === undefined) return [`${told(read)} holds ${name}, which was never written`];
      return invokedMs <= read.returnedMs ? [] : [`${told(read)} holds ${name}, whose write had not begun`];
    }),
  );
}

function lost(writes: readonly Write[], reads: readonly Read[], seen: SeenBy): readonly string[] {
  return reads.flatMap((read) =>
    writes
      .filter(
        ({ name, acknowledgedMs = Number.POSITIVE_INFINITY }) =>
          acknowledgedMs < read.invokedMs && !seen(read).has(name),
      )
      .map(({ name, acknowledgedMs = 0 }) => `${told(read)} lacks ${name}, acknowledged at ${at(acknowledgedMs)}`),
  );
}

function outOfOrder(writes: readonly Write[], reads: readonly Read[], seen: SeenBy): readonly string[] {
  return reads.flatMap((read) => {
    const latest = Math.max(...writes.filter(({ name }) => seen(read).has(name)).map(({ invokedMs }) => invokedMs));
    return writes
      .filter(({ name, acknowledgedMs = Number.POSITIVE_INFINITY }) => acknowledgedMs < latest && !seen(read).has(name))
      .map(({ name }) => `${told(read)} lacks ${name}, but holds what was written after its acknowledgement`);
  });
}

function incomparable(reads: readonly Read[], seen: SeenBy): readonly string[] {
  // In the order of size each has to hold the one before it; equal sets are looked at once.
  const distinct = new Map(reads.map((read) => [[...seen(read)].sort().join('\n'), read]));
  const bySize = [...distinct.values()].sort((a, b) => seen(a).size - seen(b).size);
  return bySize.slice(1).flatMap((read, index) => {
    const smaller = bySize[index];
    if (smaller === undefined) return [];
    const missing = [...seen(smaller)].find((name) => !seen(read).has(name));
    const other = [...seen(read)].find((name) => !seen(smaller).has(name));
    return missing === undefined
      ? []
      : [`${told(smaller)} holds ${missing} and not ${other}, ${told(read)} the reverse`];
  });
}

function unseen(reads: readonly Read[], seen: SeenBy): readonly string[] {
  return [...Map.groupBy(reads, ({ place }) => place).values()].flatMap((here) => {
    const byEnd = here.toSorted((a, b) => a.returnedMs - b.returnedMs);
    const before = new Set<string>();
    let next = 0;
    return here
      .toSorted((a, b) => a.invokedMs - b.invokedMs)
      .flatMap((read) => {
        for (let ended = byEnd[next]; ended !== undefined && ended.returnedMs < read.invokedMs; ended = byEnd[++next]) {
          for (const name of seen(ended)) before.add(name);
        }
        const missing = [...before].find((name) => !seen(read).has(name));
        return missing === undefined ? [] : [`${told(read)} lacks ${missing}, which was seen there before`];
      });
  });
}

function differing(reads: readonly Read[], seen: SeenBy): readonly string[] {
  return [...Map.groupBy(reads, ({ place, round }) => `${place} ${round}`).values()].flatMap((together) => {
    const inOrder = together.toSorted((a, b) => a.invokedMs - b.invokedMs);
    const [first, last] = [inOrder[0], inOrder.at(-1)];
    if (first === undefined || last === undefined || first.format !== last.format) return [];
    if (!isEqual(seen(first), seen(last))) return [];
    return inOrder
      .filter((read) => !isEqual(seen(read), seen(first)))
      .map((read) => `${told(read)} is of another generation than ${first.format} before and after it`);
  });
}

function isEqual(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}

function told({ place, format, round, invokedMs, returnedMs }: Read): string {
  return `${format} at ${place} (round ${round}, ${at(invokedMs)} to ${at(returnedMs)})`;
}

function at(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
