import { openMemoryCounters } from '@vivarium/counters/memory';
import { LoginLimit, RateLimited, ReportLimit } from './rate-limit.js';

describe('trying passwords', () => {
  let nowMs: number;
  let limit: LoginLimit;
  beforeEach(() => {
    nowMs = 0;
    limit = new LoginLimit(openMemoryCounters({ nowMs: () => nowMs }));
  });

  it('is for one login ten times a minute, from wherever and however it is spelled', async () => {
    for (let tries = 0; tries < 10; tries++) await limit.admit(tries % 2 === 0 ? 'alice' : ' ALICE', `10.0.0.${tries}`);
    await expect(limit.admit('alice', '10.0.0.99')).rejects.toBeInstanceOf(RateLimited);
    await limit.admit('bob', '10.0.0.99');
    nowMs = 60_000;
    await limit.admit('alice', '10.0.0.99');
  });

  it('is from one address sixty times a minute, for whomever', async () => {
    for (let tries = 0; tries < 60; tries++) await limit.admit(`user${tries}`, '10.0.0.1');
    nowMs = 15_000;
    await expect(limit.admit('alice', '10.0.0.1')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfterSeconds: 45,
      message: 'Too many attempts to sign in. Try again in 45 s.',
    });
    await limit.admit('alice', '10.0.0.2');
  });

  it('begins anew for a login whose password was right, and not for the address', async () => {
    for (let tries = 0; tries < 9; tries++) await limit.admit('alice', '10.0.0.1');
    for (let tries = 0; tries < 50; tries++) await limit.admit(`user${tries}`, '10.0.0.1');
    await limit.succeeded('Alice');
    for (let tries = 0; tries < 10; tries++) await limit.admit('alice', `10.1.0.${tries}`);
    await limit.admit('bob', '10.0.0.1');
    await expect(limit.admit('bob', '10.0.0.1')).rejects.toBeInstanceOf(RateLimited);
  });
});

describe('reporting leaked tokens', () => {
  it('is from one address thirty times a minute', async () => {
    let nowMs = 0;
    const limit = new ReportLimit(openMemoryCounters({ nowMs: () => nowMs }));
    for (let reports = 0; reports < 30; reports++) await limit.admit('10.0.0.1');
    nowMs = 20_000;
    await expect(limit.admit('10.0.0.1')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfterSeconds: 40,
      message: 'Too many reports of leaked tokens. Try again in 40 s.',
    });
    await limit.admit('10.0.0.2');
    nowMs = 60_000;
    await limit.admit('10.0.0.1');
  });
});
