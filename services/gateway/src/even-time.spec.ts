import { FAULT_CODES, Fault } from '@vivarium/fault/fault';
import { inEvenTime, untilStepMs } from './even-time.js';

describe('a refusal', () => {
  it.each(['not_found', 'forbidden', 'unauthenticated'] as const)(
    '(%s) leaves at a step, however long it took',
    async (code) => {
      const begunMs = performance.now();
      await new Promise<void>((resolve) => inEvenTime(new Fault(code, 'x'), begunMs - 3, resolve));
      // Timers may be a millisecond early.
      expect(performance.now() - begunMs).toBeGreaterThanOrEqual(1);
    },
  );

  it.each(FAULT_CODES.filter((code) => !['not_found', 'forbidden', 'unauthenticated'].includes(code)))(
    '(%s) that hides nothing leaves at once',
    (code) => {
      let isSent = false;
      inEvenTime(new Fault(code, 'x'), performance.now(), () => {
        isSent = true;
      });
      expect(isSent).toBe(true);
    },
  );

  it.each([
    [0, 5],
    [1.25, 3.75],
    [4.5, 0.5],
    [5, 5],
    [13, 2],
  ])('that took %d ms waits %d more', (elapsedMs, waitMs) => {
    expect(untilStepMs(elapsedMs)).toBe(waitMs);
  });
});
