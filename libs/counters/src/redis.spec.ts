import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { findProgram, freePort } from '@vivarium/testkit/programs';
import { startServer, type TestServer } from '@vivarium/testkit/servers';
import { Redis } from 'ioredis';
import { describeCounters } from './counters.conformance.js';
import { openCounters } from './open-counters.js';

const available =
  process.env.TEST_REDIS_URL !== undefined ||
  findProgram('valkey-server') !== undefined ||
  findProgram('redis-server') !== undefined;
const suite = skipSuiteUnless(
  available,
  'counters in Redis',
  'neither valkey-server nor redis-server is installed and TEST_REDIS_URL is not set',
);

suite('counters in a real Redis', () => {
  let server: TestServer;
  let redisUrl: string;
  beforeAll(async () => {
    server = await startServer('redis');
    redisUrl = server.env.REDIS_URL ?? '';
  }, 60_000);
  afterAll(() => server.stop());

  describeCounters('redis', () => openCounters({ redisUrl, log: () => undefined }));

  it('are shared by processes', async () => {
    const [one, other] = await Promise.all([open(redisUrl), open(redisUrl)]);
    expect((await one.counters.hit('shared', 60, 1)).allowed).toBe(true);
    expect((await other.counters.hit('shared', 60, 1)).allowed).toBe(false);
    await one.counters.close();
    await other.counters.close();
  });

  it('leave no key without an end', async () => {
    const { counters } = await open(redisUrl);
    await counters.hit('ending', 60, 1);
    const client = new Redis(redisUrl);
    const keys = await client.keys('vivarium:*');
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(await client.pttl(key)).toBeGreaterThan(0);
    client.disconnect();
    await counters.close();
  });

  it('go on in each process while the server is away, say so once, and come back', async () => {
    const cable = await startCable(Number(new URL(redisUrl).port));
    const url = new URL(redisUrl);
    url.port = String(cable.port);
    const { counters, said } = await open(url.href);
    expect((await counters.hit('cut', 60, 2)).remaining).toBe(1);
    cable.cut();
    const began = performance.now();
    for (const allowed of [true, true, false]) expect((await counters.hit('cut', 60, 2)).allowed).toBe(allowed);
    expect(performance.now() - began).toBeLessThan(1_000);
    await expect(counters.check()).rejects.toMatchObject({ code: 'unavailable' });
    expect(said).toHaveLength(1);
    cable.mend();
    for (let wait = 0; wait < 100 && said.length < 2; wait++) await sleep(100);
    expect(said).toEqual([expect.stringContaining('cannot be used'), expect.stringContaining('is back')]);
    expect((await counters.hit('cut', 60, 2)).remaining).toBe(0);
    await counters.close();
    cable.cut();
    expect(said).toHaveLength(2);
  }, 20_000);

  it('wait for a server that hangs once, not at every hit, and notice when it answers again', async () => {
    const cable = await startCable(Number(new URL(redisUrl).port));
    const url = new URL(redisUrl);
    url.port = String(cable.port);
    const { counters, said } = await open(url.href);
    cable.freeze();
    const began = performance.now();
    for (let round = 0; round < 50; round++) await counters.hit('frozen', 60, 50);
    expect(performance.now() - began).toBeLessThan(1_500);
    cable.thaw();
    await sleep(1_100);
    expect((await counters.hit('thawed', 60, 1)).allowed).toBe(true);
    expect(said).toEqual([expect.stringContaining('cannot be used'), expect.stringContaining('is back')]);
    await counters.close();
    cable.cut();
  });

  it('open with a wrong password, count alone, and never say the password', async () => {
    const url = new URL(redisUrl);
    url.password = 'hunter2-wrong';
    const { counters, said } = await open(url.href);
    expect((await counters.hit('wrong', 60, 1)).allowed).toBe(true);
    const fault = await counters.check().catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: 'unavailable', message: expect.stringContaining('REDIS_URL') });
    expect(said).toHaveLength(1);
    expect(said.join()).not.toContain('hunter2');
    await counters.close();
  });
});

describe('counters in a Redis that is not there', () => {
  it('open within seconds and count alone', async () => {
    const { counters, said } = await open(`redis://127.0.0.1:${await freePort()}`);
    expect((await counters.hit('a', 60, 1)).allowed).toBe(true);
    expect((await counters.hit('a', 60, 1)).allowed).toBe(false);
    expect(said).toEqual([expect.stringContaining('ECONNREFUSED')]);
    await counters.close();
  }, 10_000);
});

async function open(redisUrl: string) {
  const said: string[] = [];
  return { counters: await openCounters({ redisUrl, log: (line) => said.push(line) }), said };
}

/** A cable between client and server that can be cut and mended, frozen and thawed. */
async function startCable(to: number) {
  const sockets = new Set<Socket>();
  const pairs: [near: Socket, far: Socket][] = [];
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    pairs.push([near, far]);
    near.pipe(far).pipe(near);
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    cut() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
    mend: () => void listen(port),
    freeze() {
      for (const socket of sockets) socket.unpipe();
    },
    thaw() {
      for (const [near, far] of pairs) near.pipe(far).pipe(near);
    },
  };
}
