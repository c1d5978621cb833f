import { Inbox } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

let gateway: Running;
let headers: Record<string, string>;

beforeEach(async () => {
  gateway = await startGateway();
  headers = { Authorization: `token ${gateway.token(ALICE)}` };
});
afterEach(() => gateway.stop());

describe('the inbox', () => {
  it('is listed page by page', async () => {
    const message = { id: '7', kind: 'group.added', text: 'Hello.', detailJson: '{"group":"devs"}', createdAtMs: 74n };
    gateway.others.teach(Inbox, 'list', async () => ({ messages: [message], next: '7', unread: 3n }));
    const answer = await gateway.ask('/api/inbox?after=9&limit=1', { headers });
    expect([answer.status, answer.json()]).toEqual([
      200,
      {
        items: [
          {
            id: '7',
            kind: 'group.added',
            text: 'Hello.',
            detail: { group: 'devs' },
            created_at: '1970-01-01 00:00:00.074000+00:00',
            read_at: null,
          },
        ],
        next: '7',
        unread: 3,
      },
    ]);
    expect(gateway.others.heardOf(Inbox, 'list')).toMatchObject([{ after: '9', limit: 1 }]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to identity');
  });

  it.each([
    ['POST', '/api/inbox/7/read', 'markRead'],
    ['DELETE', '/api/inbox/7', 'delete'],
  ] as const)('answers %s %s with 204', async (method, path, rpc) => {
    gateway.others.teach(Inbox, rpc, async () => ({}));
    const answer = await gateway.ask(path, { method, headers });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(gateway.others.heardOf(Inbox, rpc)).toMatchObject([{ id: '7' }]);
    expect((await gateway.ask(path, { method })).status).toBe(401);
  });

  it.each(['limit=0', 'limit=x', 'limit=1&limit=2'])('refuses ?%s', async (query) => {
    expect((await gateway.ask(`/api/inbox?${query}`, { headers })).status).toBe(400);
  });
});
