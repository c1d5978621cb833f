const SLICE_MS = 5;
const waiting: (() => void)[] = [];

/** Called between the steps of long work. Undefined while the work has not held the thread for long. */
export type Breathe = () => Promise<void> | undefined;

/**
 * For work that takes long on the thread which answers everybody: waited for between two steps, it lets others be answered
 * first whenever this work has run for some milliseconds. However many works are under way, one of them runs a slice at a
 * time, so that a request which has nothing to do with them waits for one slice, and not for all.
 */
export function inSlices(sliceMs = SLICE_MS): Breathe {
  let beganMs = performance.now();
  return () => {
    if (performance.now() - beganMs < sliceMs) return undefined;
    return othersFirst().then(() => {
      beganMs = performance.now();
    });
  };
}

function othersFirst(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(next);
  });
}

function next(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(next);
}
