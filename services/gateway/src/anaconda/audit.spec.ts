import { AuditTrail } from '@vivarium/contracts/gen/vivarium/authz/v1/audit_trail_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

const EVENT = {
  id: '0e',
  atMs: 74n,
  actor: 'alice',
  actorId: 'a1',
  credential: 'token ci',
  address: '192.0.2.1',
  action: 'group.create',
  ownerId: 'o1',
  resource: 'group acme/devs',
  afterJson: '{"permission":"read"}',
};
const SHAPE = {
  id: '0e',
  at: '1970-01-01 00:00:00.074000+00:00',
  actor: 'alice',
  actor_id: 'a1',
  credential: 'token ci',
  address: '192.0.2.1',
  action: 'group.create',
  owner: 'acme',
  owner_id: 'o1',
  resource: 'group acme/devs',
  before: null,
  after: { permission: 'read' },
};

let gateway: Running;
let headers: Record<string, string>;

beforeEach(async () => {
  gateway = await startGateway();
  headers = { Authorization: `token ${gateway.token(ALICE)}` };
});
afterEach(() => gateway.stop());

describe('the audit trail', () => {
  it('is listed page by page', async () => {
    gateway.others.teach(AuditTrail, 'list', async () => ({ events: [EVENT], next: '0e', logins: { o1: 'acme' } }));
    const answer = await gateway.ask('/api/audit?owner=acme&after=0f&limit=1', { headers });
    expect([answer.status, answer.json()]).toEqual([200, { items: [SHAPE], next: '0e' }]);
    expect(gateway.others.heardOf(AuditTrail, 'list')).toMatchObject([{ owner: 'acme', after: '0f', limit: 1 }]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to authz');
  });

  it('is exported whole, a line an event, and asks anew who it is for at each page', async () => {
    gateway.others.teach(AuditTrail, 'list', async ({ after }) => {
      const at = after === '' ? 0 : Number(after);
      const events = [0, 1].map((each) => ({ ...EVENT, id: String(2 * at + each), ownerId: 'o2' }));
      return { events, next: at < 4 ? String(at + 1) : '', logins: {} };
    });
    const answer = await gateway.ask('/api/audit?format=jsonl', { headers });
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/jsonl']);
    const lines = answer.text.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => JSON.parse(line).id)).toEqual(Array.from({ length: 10 }, (_, at) => String(at)));
    expect(JSON.parse(lines[0] ?? '')).toEqual({ ...SHAPE, id: '0', owner: null, owner_id: 'o2' });
  });

  it('is an empty export when there is nothing', async () => {
    gateway.others.teach(AuditTrail, 'list', async () => ({}));
    const answer = await gateway.ask('/api/audit?format=jsonl', { headers });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect((await gateway.ask('/api/audit', { headers })).json()).toEqual({ items: [], next: null });
  });

  it('refuses before it begins', async () => {
    gateway.others.teach(AuditTrail, 'list', async () => {
      throw new Fault('forbidden', 'bob may not read the audit trail of acme: not an owner');
    });
    for (const format of ['json', 'jsonl']) {
      const answer = await gateway.ask(`/api/audit?owner=acme&format=${format}`, { headers });
      expect([answer.status, answer.json()]).toMatchObject([403, { error: expect.stringContaining('not an owner') }]);
    }
    expect((await gateway.ask('/api/audit?format=xml', { headers })).status).toBe(400);
    expect((await gateway.ask('/api/audit')).status).toBe(401);
  });
});
