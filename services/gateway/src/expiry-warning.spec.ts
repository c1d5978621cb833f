import { Heads as CondaHeads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Heads as PypiHeads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { warnOfExpiry } from './expiry-warning.js';
import { ALICE, type Running, startGateway } from './gateway.fixture.js';

const NOW_MS = Date.UTC(2026, 10, 24, 12);
const DAY_MS = 86_400_000;

function warningFor(leftMs: number, name = 'ci', headersSent = false): string | undefined {
  const headers = new Map<string, string>();
  const head = {
    headersSent,
    setHeader(field: string, value: string) {
      headers.set(field, value);
      return this;
    },
  };
  warnOfExpiry(head as never, { name, expiresAtMs: NOW_MS + leftMs }, NOW_MS);
  return headers.get('Conda-Token-Warning');
}

describe('the warning of a token that ends', () => {
  it.each([
    [15 * DAY_MS, undefined],
    [14 * DAY_MS + 1, undefined],
    [14 * DAY_MS, 'expires in 14 days, on 2026-12-08.'],
    [2 * DAY_MS, 'expires in 2 days, on 2026-11-26.'],
    [1.5 * DAY_MS, 'expires in one day, on 2026-11-26.'],
    [1_000, 'expires within a day, on 2026-11-24.'],
    [0, undefined],
    [-DAY_MS, undefined],
  ])('with %d ms left is %j', (leftMs, words) => {
    if (words === undefined) expect(warningFor(leftMs)).toBeUndefined();
    else expect(warningFor(leftMs)).toContain(words);
  });

  it('is one line of ASCII, whatever the name', () => {
    expect(warningFor(DAY_MS, 'naïve "ключ"')).toMatch(/^The token "na\?ve '\?\?\?\?'" expires [ -~]*$/);
  });

  it('comes too late for an answer whose head is sent', () => {
    expect(warningFor(DAY_MS, 'ci', true)).toBeUndefined();
  });
});

describe('a token that ends soon', () => {
  let gateway: Running;
  beforeEach(async () => {
    gateway = await startGateway();
    for (const heads of [CondaHeads, PypiHeads]) gateway.others.teach(heads, 'find', async () => ({ generation: 7n }));
    gateway.others.teach(Accounts, 'find', async () => ({ account: { id: 'a1', login: 'alice', kind: 'user' } }));
  });
  afterEach(() => gateway.stop());

  const tokenFor = (leftMs: number) => {
    return gateway.token({ ...ALICE, tokenName: 'ci', expiresAtMs: BigInt(Date.now() + leftMs) });
  };
  const PATHS = ['/conda/alice/noarch/repodata.json', '/pypi/alice/simple/', '/api/user', '/alice'];

  it.each(PATHS)('is warned of at %s', async (path) => {
    const headers = { Authorization: `token ${tokenFor(3 * DAY_MS)}` };
    const answer = await gateway.ask(path, { headers });
    expect(answer.headers['conda-token-warning']).toMatch(/^The token "ci" expires in [23] days, on /);
  });

  it.each(PATHS)('is not warned of at %s while it has a month', async (path) => {
    const headers = { Authorization: `token ${tokenFor(30 * DAY_MS)}` };
    expect((await gateway.ask(path, { headers })).headers).not.toHaveProperty('conda-token-warning');
    expect((await gateway.ask(path)).headers).not.toHaveProperty('conda-token-warning');
  });

  it('changes neither the tag of an index nor its 304', async () => {
    const path = '/conda/alice/noarch/repodata.json';
    const fresh = await gateway.ask(path, { headers: { Authorization: `token ${tokenFor(30 * DAY_MS)}` } });
    const etag = String(fresh.headers.etag);
    const headers = { Authorization: `token ${tokenFor(DAY_MS)}`, 'If-None-Match': etag };
    const answer = await gateway.ask(path, { headers });
    expect([answer.status, answer.headers.etag, answer.body.byteLength]).toEqual([304, etag, 0]);
    expect(answer.headers).toHaveProperty('conda-token-warning');
  });

  it('is warned of in the same way for what is hidden and what is missing', async () => {
    const headers = { Authorization: `token ${tokenFor(DAY_MS)}` };
    const [hidden, missing] = [
      await gateway.ask('/conda/hidden/noarch/repodata.json', { headers }),
      await gateway.ask('/conda/nobody/noarch/repodata.json', { headers }),
    ];
    expect([hidden.status, missing.status]).toEqual([403, 403]);
    expect(hidden.headers['conda-token-warning']).toBe(missing.headers['conda-token-warning']);
    expect(hidden.headers).toHaveProperty('conda-token-warning');
  });
});
