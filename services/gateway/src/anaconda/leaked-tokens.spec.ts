import { randomBytes } from 'node:crypto';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Fault } from '@vivarium/fault/fault';
import { mintToken, tokenDigest } from '@vivarium/token/format';
import { type Running, startGateway } from '../gateway.fixture.js';

let gateway: Running;
beforeEach(async () => {
  gateway = await startGateway();
  gateway.others.teach(Tokens, 'revokeLeaked', async () => ({}));
});
afterEach(() => gateway.stop());

const token = mintToken(randomBytes);
const report = (body: unknown, headers: Record<string, string> = {}) =>
  gateway.ask('/api/leaked-tokens', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('reporting a leaked token', () => {
  it('needs no credential, and hands on the digest alone, with where it was found and from where it was told', async () => {
    const url = 'https://code.example/ci.yml';
    const answer = await report([{ token, url, source: 'content' }, { token: 'cut' }]);
    expect([answer.status, answer.json()]).toEqual([200, { received: 2, malformed: [1] }]);
    expect(gateway.others.heardOf(Tokens, 'revokeLeaked')).toMatchObject([
      {
        address: '127.0.0.1',
        leaked: [{ tokenSha256: new Uint8Array(Buffer.from(tokenDigest(token), 'hex')), url, source: 'content' }],
      },
    ]);
    const heard = JSON.stringify(gateway.others.heard, (_, value) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    expect([heard.includes(token), gateway.log.join('').includes(token)]).toEqual([false, false]);
  });

  it('looks at no credential that comes with it, be it the token itself', async () => {
    for (const headers of [
      { Authorization: `token ${token}` },
      { Authorization: 'Digest x' },
      { Cookie: 'vivarium=x' },
    ]) {
      expect((await report([{ token }], headers)).status).toBe(200);
    }
    expect(gateway.others.heardOf(Callers, 'whoIs')).toEqual([]);
  });

  it('is answered at one of few moments, however long it took', async () => {
    const tookMs: number[] = [];
    for (const workMs of [0, 60]) {
      gateway.others.teach(Tokens, 'revokeLeaked', async () => {
        await new Promise((resolve) => setTimeout(resolve, workMs));
        return {};
      });
      const begunMs = performance.now();
      await report([{ token }]);
      tookMs.push(performance.now() - begunMs);
    }
    for (const each of tookMs) expect(each).toBeGreaterThan(240);
  });

  it.each([
    ['no JSON', `{"token": "${token}"`, 400],
    ['a field of another form', JSON.stringify([{ token, url: token }]), 400],
    ['more than fits', JSON.stringify([{ token, more: token.repeat(7_000) }]), 413],
    ['what is nested too deep', `[${'['.repeat(200)}"${token}"${']'.repeat(200)}]`, 400],
  ])('is refused for %s, and repeats nothing', async (_what, body, status) => {
    const answer = await report(body);
    expect(answer.status).toBe(status);
    expect([answer.text.includes(token.slice(4, 20)), gateway.log.join('').includes(token)]).toEqual([false, false]);
    expect(gateway.others.heardOf(Tokens, 'revokeLeaked')).toEqual([]);
  });

  it('is asked to come again when it could not be done', async () => {
    gateway.others.teach(Tokens, 'revokeLeaked', async () => {
      throw new Fault('unavailable', 'Report it again in a few seconds.');
    });
    const answer = await report([{ token }]);
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '2']);
  });

  it('is done thirty times a minute from one address, whatever is sent', async () => {
    for (let times = 0; times < 30; times++) expect((await report('[]')).status).toBe(400);
    const answer = await report([{ token }]);
    expect([answer.status, answer.json()]).toMatchObject([429, { code: 'rate_limited' }]);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(gateway.others.heardOf(Tokens, 'revokeLeaked')).toEqual([]);
  });
});
