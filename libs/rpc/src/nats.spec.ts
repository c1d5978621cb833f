import { createServer, connect as dial, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { skipSuiteUnless, skipUnless } from '@vivarium/testkit/missing';
import { startLocalNats } from '@vivarium/testkit/nats-server';
import { findProgram } from '@vivarium/testkit/programs';
import { startServer } from '@vivarium/testkit/servers';
import type { BusWorld } from './bus.conformance.js';
import { describeBus } from './bus.conformance.js';
import type { Bus } from './bus.js';
import { openNatsBus } from './nats.js';
import { natsAddressOf } from './nats-address.js';
import { describeRpc } from './rpc.conformance.js';

const silent = { error: () => undefined };
const bytes = (text: string) => new TextEncoder().encode(text);

async function aNetwork(): Promise<BusWorld> {
  const server = await startServer('nats');
  const url = `${server.env.NATS_URL}`;
  return { connect: (service, log) => openNatsBus({ url, service, log }), stop: () => server.stop() };
}

const available = process.env.TEST_NATS_URL !== undefined || findProgram('nats-server') !== undefined;
const onNats = skipSuiteUnless(
  available,
  'the bus on NATS',
  'nats-server is not installed and TEST_NATS_URL is not set',
);

onNats('on a real NATS server', () => {
  describeBus('NATS', aNetwork);
  describeRpc('NATS', aNetwork);
});

describe('the address of NATS', () => {
  it.each([
    [
      'nats://ann:s%40fe@nats.example:4333',
      { servers: ['nats.example:4333'], user: 'ann', password: 's@fe', isTls: false, isLoopback: false },
    ],
    [
      'tls://ann:x@a.example,tls://ann:x@b.example:4223',
      { servers: ['a.example:4222', 'b.example:4223'], user: 'ann', password: 'x', isTls: true, isLoopback: false },
    ],
    [
      'nats://127.0.0.1:4222',
      { servers: ['127.0.0.1:4222'], user: undefined, password: undefined, isTls: false, isLoopback: true },
    ],
    ['nats://[::1]', { servers: ['[::1]:4222'], user: undefined, password: undefined, isTls: false, isLoopback: true }],
  ])('reads %s', (text, address) => {
    expect(natsAddressOf(text)).toEqual(address);
  });

  it.each([
    ['nats://nats.example:4222', 'without a user and password'],
    ['nats://ann@nats.example:4222', 'without a user and password'],
    ['nats://127.0.0.1:4222,nats://nats.example:4222', 'without a user and password'],
    ['nats://127.0.0.1.example:4222', 'without a user and password'],
    ['http://ann:hunter2@nats.example', 'is no NATS address'],
    ['ann:hunter2@nats.example', 'is no NATS address'],
    ['', 'is no NATS address'],
  ])('refuses %j: %s', (text, reason) => {
    expect(() => natsAddressOf(text)).toThrow(reason);
    expect(() => natsAddressOf(text)).not.toThrow('hunter2');
  });
});

onNats('a NATS server', () => {
  it('that refuses the password is told apart from one that is away, and neither message holds the password', async () => {
    const server = await startServer('nats');
    const url = new URL(`${server.env.NATS_URL}`);
    url.password = 'hunter2';
    await expect(openNatsBus({ url: url.href, service: 'x', log: silent })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/^(?!.*hunter2).*refuses the user/),
    });
    await server.stop();
    url.port = '1';
    await expect(openNatsBus({ url: url.href, service: 'x', log: silent, startTimeoutMs: 500 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^(?!.*hunter2).*No NATS server answers/),
    });
  });

  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find((address) => address.family === 'IPv4' && !address.internal)?.address;
  const itOutside = skipUnless(outside !== undefined, 'an open NATS server elsewhere', 'no network but loopback');
  itOutside('that takes anyone is refused unless it is on this machine', async () => {
    const server = await startLocalNats({ authorization: '', user: 'ann', password: 'x' });
    const here = await openNatsBus({ url: `${server.env.NATS_URL}`, service: 'x', log: silent });
    await here.drain();
    const proxy = await startProxy(`${server.env.NATS_URL}`, outside);
    await expect(openNatsBus({ url: proxy.url, service: 'x', log: silent })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('without a password'),
    });
    proxy.stop();
    await server.stop();
  });

  it('that comes late is waited for', async () => {
    const server = await startServer('nats');
    const cuttable = await startProxy(`${server.env.NATS_URL}`);
    cuttable.cut();
    const opening = openNatsBus({ url: cuttable.url, service: 'x', log: silent });
    await pause(300);
    cuttable.mend();
    const bus = await opening;
    await bus.check();
    await bus.drain();
    cuttable.stop();
    await server.stop();
  });
});

onNats('a lost connection to NATS', () => {
  let world: { stop(): Promise<void> };
  let direct: Bus;
  let far: Bus;
  let cuttable: Awaited<ReturnType<typeof startProxy>>;

  beforeEach(async () => {
    const server = await startServer('nats');
    world = server;
    cuttable = await startProxy(`${server.env.NATS_URL}`);
    direct = await openNatsBus({ url: `${server.env.NATS_URL}`, service: 'direct', log: silent });
    far = await openNatsBus({ url: cuttable.url, service: 'far', log: silent });
  });
  afterEach(async () => {
    await Promise.all([direct.drain(), far.drain()]);
    cuttable.stop();
    await world.stop();
  });

  it('is noticed, fails what waits, and tells its return once, with subscriptions restored', async () => {
    const heard: string[] = [];
    let returns = 0;
    far.onReconnect(() => {
      returns += 1;
    });
    await far.subscribe('news.>', ({ subject }) => heard.push(subject));
    await direct.serve('slow.answer', 'q', async ({ payload }) => {
      await pause(3_000);
      return { payload };
    });
    const started = performance.now();
    const waiting = far.request('slow.answer', bytes(''), { timeoutMs: 10_000 });
    await pause(50);
    cuttable.cut();
    await expect(waiting).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('connection'),
    });
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(far.connected).toBe(false);
    await expect(far.request('slow.answer', bytes(''), { timeoutMs: 10_000 })).rejects.toMatchObject({
      code: 'unavailable',
    });
    await expect(far.check()).rejects.toMatchObject({ code: 'unavailable' });
    far.publish('news.lost', bytes(''));
    direct.publish('news.missed', bytes(''));
    expect(returns).toBe(0);
    cuttable.mend();
    while (returns === 0) await pause(10);
    expect([far.connected, returns]).toEqual([true, 1]);
    await far.check();
    direct.publish('news.again', bytes(''));
    await direct.flush();
    await far.flush();
    expect(heard).toEqual(['news.again']);
  });

  it('does not hold up a drain', async () => {
    await far.subscribe('news.>', () => undefined);
    await far.serve('far.answer', 'q', async ({ payload }) => ({ payload }));
    cuttable.cut();
    while (far.connected) await pause(5);
    const started = performance.now();
    await far.drain();
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

onNats('users of NATS with rights by subject', () => {
  let world: Awaited<ReturnType<typeof startLocalNats>>;
  let connect: BusWorld['connect'];
  let buses: Bus[] = [];

  beforeAll(async () => {
    const rights = (publish: string, service: string) =>
      `permissions: { publish: [${publish}, "_INBOX.>"], subscribe: ["${service}.>", "_INBOX.${service}.>"] }`;
    world = await startLocalNats({
      user: 'gateway',
      password: 'secret',
      authorization: `authorization { users: [
        { user: "gateway", password: "secret", ${rights('"identity.>"', 'gateway')} }
        { user: "identity", password: "secret", ${rights('"events.>"', 'identity')} }
      ] }`,
    });
    connect = async (service, log) => {
      const url = new URL(world.env.NATS_URL ?? '');
      url.username = service;
      const bus = await openNatsBus({ url: url.href, service, log });
      buses.push(bus);
      return bus;
    };
  });
  afterEach(async () => {
    await Promise.all(buses.map((bus) => bus.drain()));
    buses = [];
  });
  afterAll(() => world.stop());

  it('let a service call and be called where it may', async () => {
    const identity = await connect('identity', silent);
    const gateway = await connect('gateway', silent);
    await identity.serve('identity.Callers.whoIs', 'identity', async ({ payload }) => ({ payload }));
    const reply = await gateway.request('identity.Callers.whoIs', bytes('hi'), { timeoutMs: 1_000 });
    expect(reply.payload).toEqual(bytes('hi'));
  });

  it('refuse the subjects of others at once: serving, listening, calling', async () => {
    const gateway = await connect('gateway', silent);
    const identity = await connect('identity', silent);
    const echo = async ({ payload }: { payload: Uint8Array }) => ({ payload });
    await expect(gateway.serve('identity.Callers.whoIs', 'identity', echo)).rejects.toMatchObject({
      code: 'forbidden',
    });
    await expect(gateway.subscribe('>', () => undefined)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(identity.request('gateway.Cache.read', bytes(''), { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'forbidden',
    });
    await Promise.all([gateway.check(), identity.check()]);
  });
});

/** A way to NATS that can be cut and mended: the server stays, the connections through it die. */
async function startProxy(target: string, host = '127.0.0.1') {
  const { hostname, port, username, password } = new URL(target);
  const open = new Set<Socket>();
  let isCut = false;
  const proxy = createServer((near) => {
    if (isCut) return near.destroy();
    const far = dial(Number(port), hostname);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => open.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => proxy.listen(0, host, resolve));
  const address = proxy.address();
  const cut = () => {
    isCut = true;
    for (const socket of open) socket.destroy();
  };
  return {
    url: `nats://${username}:${password}@${host}:${typeof address === 'object' ? address?.port : ''}`,
    cut,
    mend: () => {
      isCut = false;
    },
    stop: () => {
      cut();
      proxy.close();
    },
  };
}
