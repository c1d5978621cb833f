/** How often the thread turned to others while this work was under way. */
export async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let [turns, isOver] = [0, false];
  const look = (): void => {
    if (isOver) return;
    turns++;
    setImmediate(look);
  };
  setImmediate(look);
  try {
    await work();
    return turns;
  } finally {
    isOver = true;
  }
}
