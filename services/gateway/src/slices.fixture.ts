/** For how long the thread answered nobody at a time, at most, while this work was under way. */
export async function longestHoldMs(work: () => Promise<unknown>): Promise<number> {
  let [beforeMs, longestMs] = [performance.now(), 0];
  const look = (): void => {
    longestMs = Math.max(longestMs, performance.now() - beforeMs);
    beforeMs = performance.now();
  };
  const timer = setInterval(look, 1);
  try {
    await work();
    look();
    return longestMs;
  } finally {
    clearInterval(timer);
  }
}
