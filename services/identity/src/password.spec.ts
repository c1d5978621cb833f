import { parseOptions, verify } from '@node-rs/argon2';
import { checkNewPassword, hashPassword, isPasswordOf } from './password.js';

describe('a password', () => {
  it('is hashed by argon2id at no less than the recommended cost, with its own salt', async () => {
    const [first, second] = await Promise.all([hashPassword('correct horse'), hashPassword('correct horse')]);
    expect(first).not.toBe(second);
    expect(first).toMatch(/^\$argon2id\$v=19\$/);
    const { memoryCost, timeCost, parallelism } = parseOptions(first);
    expect(memoryCost).toBeGreaterThanOrEqual(19_456);
    expect(timeCost).toBeGreaterThanOrEqual(2);
    expect(parallelism).toBe(1);
  });

  it('opens with itself, however its accents are composed, and with nothing else', async () => {
    const stored = await hashPassword('café con leche');
    expect(await isPasswordOf('cafe\u0301 con leche', stored)).toBe(true);
    expect(await isPasswordOf('cafe con leche', stored)).toBe(false);
    expect(await isPasswordOf('', stored)).toBe(false);
    expect(await isPasswordOf('x'.repeat(100_000), stored)).toBe(false);
  });

  it('is never right for somebody who has none, and takes as long to refuse', async () => {
    const stored = await hashPassword('correct horse');
    const times: { unknown: number; wrong: number }[] = [];
    // In turns: a busy moment of the machine meets both.
    for (let round = 0; round < 15; round++) {
      times.push({ unknown: await millisecondsOf(undefined), wrong: await millisecondsOf(stored) });
    }
    const unknown = medianOf(times.map((each) => each.unknown));
    const wrong = medianOf(times.map((each) => each.wrong));
    expect(unknown).toBeGreaterThan(wrong / 2);
    expect(unknown).toBeLessThan(wrong * 2);
  });

  it('waits in a line with an end', async () => {
    const stored = await hashPassword('correct horse');
    const crowd = await Promise.allSettled(Array.from({ length: 200 }, () => isPasswordOf('wrong', stored)));
    const refused = crowd.filter((each) => each.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.map((each) => each.reason.code)).toEqual(refused.map(() => 'unavailable'));
    expect(await isPasswordOf('correct horse', stored)).toBe(true);
  });

  it.each([
    ['123456789', false],
    ['1234567890', true],
    ['🐍'.repeat(9), false],
    ['x'.repeat(256), true],
    ['x'.repeat(257), false],
  ])('as a new one, %j is good: %j', (password, good) => {
    const check = () => checkNewPassword(password);
    if (good) expect(check).not.toThrow();
    else expect(check).toThrow(/10 to 256 characters/);
  });

  it('is verified by any argon2 library', async () => {
    expect(await verify(await hashPassword('correct horse'), 'correct horse')).toBe(true);
  });
});

async function millisecondsOf(storedHash: string | undefined): Promise<number> {
  const began = performance.now();
  expect(await isPasswordOf('wrong password', storedHash)).toBe(false);
  return performance.now() - began;
}

function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
