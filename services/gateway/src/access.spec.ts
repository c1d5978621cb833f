import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Invalidations, Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import { InvalidationSchema } from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { Heads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import {
  Callers,
  Invalidations as IdentityInvalidations,
} from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Files } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Fault } from '@vivarium/fault/fault';
import { invalidationSubject } from '@vivarium/invalidation/invalidations';
import { publishEvent } from '@vivarium/rpc/events';
import { ALICE, BOB, type Running, startGateway } from './gateway.fixture.js';

// The channel of an organization: who may read there is a matter of authz.
const INDEX = '/conda/hidden/noarch/repodata.json';

const CAROL = { accountId: 'c9', login: 'carol', accountKind: 'user', scopes: ['all'] };

let gateway: Running;
beforeEach(async () => {
  gateway = await startGateway({ TRUSTED_PROXIES: '127.0.0.1' });
  gateway.others.teach(Heads, 'find', async () => ({ generation: 7n, manifestKey: '' }));
});
afterEach(() => gateway.stop());

/** What the API of a reader answers: status of an index. */
async function statusOf(token: string, path = INDEX, headers: Record<string, string> = {}): Promise<number> {
  return (await gateway.ask(path, { headers: { Authorization: `token ${token}`, ...headers } })).status;
}

/** The standing of everybody in an organization, at a version. */
function teachStanding(member: boolean, version: bigint, before: () => Promise<void> = async () => undefined): void {
  gateway.others.teach(Views, 'viewOf', async () => {
    const answer = { standing: { member, owner: member }, versions: [{ tag: 'standing:h1', version }] };
    await before();
    return answer;
  });
}

describe('what a gateway remembers of a caller', () => {
  it('is asked for once', async () => {
    teachStanding(true, 1n);
    const token = gateway.token(BOB);
    for (let round = 0; round < 3; round++) expect(await statusOf(token)).toBe(200);
    expect(gateway.others.heardOf(Callers, 'whoIs')).toHaveLength(1);
    expect(gateway.others.heardOf(Views, 'viewOf')).toHaveLength(1);
  });

  it('ends with the token: its expiry is looked at each time', async () => {
    const token = gateway.token({ ...BOB, expiresAtMs: BigInt(Date.now() + 400) });
    teachStanding(true, 1n);
    expect(await statusOf(token)).toBe(200);
    await sleep(450);
    expect(await statusOf(token)).toBe(401);
    expect(gateway.others.heardOf(Callers, 'whoIs')).toHaveLength(1);
  });

  it('is not where the first request of it came from', async () => {
    const token = gateway.token({ ...CAROL, restrictions: { cidrs: ['10.0.0.0/8'] }, address: '10.1.1.1' });
    teachStanding(true, 1n);
    expect(await statusOf(token, INDEX, { 'X-Forwarded-For': '10.1.1.1' })).toBe(200);
    expect(await statusOf(token, INDEX, { 'X-Forwarded-For': 'unknown' })).toBe(403);
    expect(gateway.others.heardOf(Callers, 'whoIs')).toHaveLength(1);
  });

  it.each([
    ['address', { cidrs: ['10.0.0.0/8'] }, { 'X-Forwarded-For': '10.1.1.1' }, { 'X-Forwarded-For': '11.1.1.1' }, INDEX],
    ['label', { labels: ['main'] }, {}, {}, '/conda/hidden/label/dev/noarch/repodata.json'],
  ])('does not open another %s than the token is for', async (_, restrictions, good, bad, path) => {
    const token = gateway.token({ ...CAROL, restrictions });
    teachStanding(true, 1n);
    expect(await statusOf(token, INDEX, good)).toBe(200);
    expect(await statusOf(token, path, bad)).toBe(403);
    expect(await statusOf(token, INDEX, good)).toBe(200);
    expect(gateway.others.heardOf(Callers, 'whoIs')).toHaveLength(1);
  });

  it('does not open another subdir than the token is for', async () => {
    const token = gateway.token({ ...CAROL, restrictions: { subdirs: ['linux-64'] } });
    teachStanding(true, 1n);
    const views: unknown[] = [];
    gateway.others.teach(Files, 'at', async ({ view }) => {
      views.push(view?.everything);
      return { found: false, versions: [{ tag: 'channel:h1', version: 7n }] };
    });
    for (const subdir of ['linux-64', 'osx-64', 'linux-64'])
      await statusOf(token, `/conda/hidden/${subdir}/x-1-0.conda`);
    // The third is known from the first.
    expect(views).toEqual([true, false]);
  });

  it('is nothing for a token with a limited number of uses', async () => {
    const token = gateway.token({ ...BOB, limitedUses: true });
    teachStanding(true, 1n);
    for (let round = 0; round < 3; round++) expect(await statusOf(token)).toBe(200);
    expect(gateway.others.heardOf(Callers, 'whoIs')).toHaveLength(3);
  });

  it('gives a token with two uses two artifacts, and of the third no byte', async () => {
    const bytes = Buffer.from('the bytes of an artifact');
    await gateway.blobs.put('blobs/lamp', bytes);
    gateway.others.teach(Files, 'at', async () => ({
      found: true,
      blobKey: 'blobs/lamp',
      sha256: createHash('sha256').update(bytes).digest('hex'),
      sizeBytes: BigInt(bytes.byteLength),
    }));
    let left = 2;
    gateway.others.teach(Callers, 'use', async ({ tokenId }) => {
      if (tokenId !== 'limited' || left === 0) throw new Fault('unauthenticated', 'This token is used up.');
      left -= 1;
      return { remaining: BigInt(left) };
    });
    const token = gateway.token({ ...ALICE, credentialId: 'limited', limitedUses: true });
    const answers: string[] = [];
    for (const at of ['noarch/lamp-1-0.conda', 'linux-64/lamp-1-0.tar.bz2', 'noarch/lamp-1-0.conda']) {
      const { status, text } = await gateway.ask(`/t/${token}/alice/${at}`);
      answers.push(`${status} ${status === 200 ? text : ''}`);
    }
    expect(answers).toEqual([`200 ${bytes}`, `200 ${bytes}`, '401 ']);
  });

  it('is not what was read before a change, neither for who waited nor for who asks then', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    teachStanding(true, 1n, () => held);
    const token = gateway.token(BOB);
    const waiting = [statusOf(token), statusOf(token)];
    while (gateway.others.heardOf(Views, 'viewOf').length === 0) await sleep(5);
    teachStanding(false, 2n);
    await tell('authz', 1n, 'standing:h1', 2n);
    const late = statusOf(token);
    release();
    expect(await Promise.all([...waiting, late])).toEqual([403, 403, 403]);
  });

  it('is decided again when the caller is revoked while something else is waited for', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    teachStanding(true, 1n);
    gateway.others.teach(Heads, 'find', async () => {
      await held;
      return { generation: 7n, manifestKey: '' };
    });
    const token = gateway.token({ ...BOB, credentialId: 't' });
    const waiting = statusOf(token);
    while (gateway.others.heardOf(Heads, 'find').length === 0) await sleep(5);
    gateway.others.teach(Callers, 'whoIs', async () => {
      throw new Fault('unauthenticated', 'This token was revoked on some day.');
    });
    // A gap: what it was about is not known.
    await tell('identity', 5n, 'token:other', 9n);
    release();
    expect(await waiting).toBe(401);
  });
});

describe('a caller who cannot be verified', () => {
  it.each(['loud', 'anonymous'])(
    'is refused with 503, not taken for a stranger (bad tokens are %s)',
    async (badToken) => {
      await gateway.stop();
      gateway = await startGateway({ VIVARIUM_BAD_TOKEN: badToken });
      gateway.others.teach(Heads, 'find', async () => ({ generation: 7n, manifestKey: '' }));
      const token = gateway.token(ALICE);
      gateway.others.teach(Callers, 'whoIs', async () => {
        throw new Fault('unavailable', 'identity is away.');
      });
      const { status, headers } = await gateway.ask('/conda/open/noarch/repodata.json', {
        headers: { Authorization: `token ${token}` },
      });
      expect([status, headers['retry-after'], headers['cache-control']]).toEqual([503, '2', 'no-store']);
      expect((await gateway.ask('/conda/open/noarch/repodata.json')).status).toBe(200);
    },
  );
});

/** One piece of news, and proof that the gateway has taken it in. */
async function tell(service: 'authz' | 'identity', seq: bigint, tag: string, version: bigint): Promise<void> {
  const contract = service === 'authz' ? Invalidations : IdentityInvalidations;
  gateway.others.teach(contract, 'lease', async () => ({ epoch: 'e', seq, leaseMs: 5_000n }));
  publishEvent(gateway.ports.bus, InvalidationSchema, invalidationSubject(service), {
    epoch: 'e',
    seq,
    facts: [{ tag, version }],
  });
  await gateway.ports.bus.flush();
}
