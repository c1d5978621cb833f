import { Groups } from '@vivarium/contracts/gen/vivarium/authz/v1/groups_pb';
import { Grants } from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

let gateway: Running;
let headers: Record<string, string>;

const DEVS = {
  organization: 'acme',
  name: 'devs',
  permission: 'write',
  allPackages: false,
  members: 2n,
  createdAtMs: 1_700_000_000_074n,
};
const SHAPE = {
  name: 'devs',
  organization: 'acme',
  permission: 'write',
  all_packages: false,
  members_count: 2,
  created_at: '2023-11-14 22:13:20.074000+00:00',
};

beforeEach(async () => {
  gateway = await startGateway();
  headers = { Authorization: `token ${gateway.token(ALICE)}` };
});
afterEach(() => gateway.stop());

/** As the client asks: it says JSON also where there is no body. */
const ask = (method: string, path: string, body?: object) =>
  gateway.ask(`/api${path}`, {
    method,
    headers: { ...headers, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

describe('groups of an organization', () => {
  it('are listed under one key, page after page', async () => {
    gateway.others.teach(Groups, 'list', async ({ after }) => {
      return after === '' ? { groups: [DEVS], next: 'devs' } : { groups: [{ ...DEVS, name: 'staff' }] };
    });
    const answer = await ask('GET', '/groups/acme');
    expect([answer.status, answer.json()]).toEqual([200, { groups: [SHAPE, { ...SHAPE, name: 'staff' }] }]);
    expect(gateway.others.heardOf(Groups, 'list')).toMatchObject([
      { organization: 'acme', after: '' },
      { organization: 'acme', after: 'devs' },
    ]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to authz');
    await ask('GET', '/groups');
    expect(gateway.others.heardOf(Groups, 'list').at(-2)).toMatchObject({ organization: '' });
  });

  it('are made with 204, read unless said otherwise', async () => {
    gateway.others.teach(Groups, 'create', async () => ({ group: DEVS }));
    const answer = await ask('POST', '/group/acme/devs', { perms: 'write' });
    expect([answer.status, answer.text]).toEqual([204, '']);
    await ask('POST', '/group/acme/devs');
    await ask('POST', '/group/acme/devs', { all_packages: true, perms: 'admin' });
    expect(gateway.others.heardOf(Groups, 'create')).toMatchObject([
      { organization: 'acme', name: 'devs', permission: 'write', allPackages: false },
      { permission: 'read' },
      { permission: 'admin', allPackages: true },
    ]);
  });

  it('are shown and changed', async () => {
    gateway.others.teach(Groups, 'find', async () => ({ group: DEVS }));
    gateway.others.teach(Groups, 'update', async () => ({ group: { ...DEVS, allPackages: true } }));
    expect((await ask('GET', '/group/acme/devs')).json()).toEqual(SHAPE);
    const changed = await ask('PATCH', '/group/acme/devs', { name: 'staff', permission: 'read', all_packages: true });
    expect([changed.status, changed.json()]).toEqual([200, { ...SHAPE, all_packages: true }]);
    expect(gateway.others.heardOf(Groups, 'update')).toMatchObject([
      { name: 'devs', newName: 'staff', permission: 'read', allPackages: true },
    ]);
    await ask('PATCH', '/group/acme/devs', {});
    const unchanged = gateway.others.heardOf(Groups, 'update').at(-1) ?? {};
    expect(Object.keys(unchanged)).toEqual(expect.not.arrayContaining(['newName', 'permission', 'allPackages']));
  });

  it('are deleted with 204', async () => {
    gateway.others.teach(Groups, 'delete', async () => ({}));
    expect((await ask('DELETE', '/group/acme/devs')).status).toBe(204);
  });

  it('tell their members', async () => {
    gateway.others.teach(Groups, 'members', async () => ({ members: [{ login: 'bob', name: 'Bob', addedAtMs: 0n }] }));
    const answer = await ask('GET', '/group/acme/devs/members');
    expect([answer.status, answer.json()]).toEqual([200, [expect.objectContaining({ login: 'bob', name: 'Bob' })]]);
  });

  it.each([
    ['GET', 'findMember'],
    ['PUT', 'addMember'],
    ['DELETE', 'removeMember'],
  ] as const)('answer %s of a member with 204 or as the service says', async (method, rpc) => {
    gateway.others.teach(Groups, rpc, async () => ({}));
    const answer = await ask(method, '/group/acme/devs/members/bob');
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(gateway.others.heardOf(Groups, rpc)).toMatchObject([{ organization: 'acme', group: 'devs', login: 'bob' }]);
    gateway.others.teach(Groups, rpc, async () => {
      throw new Fault('not_found', 'bob is not in the group devs.');
    });
    const missing = await ask(method, '/group/acme/devs/members/bob');
    expect([missing.status, missing.json()]).toMatchObject([404, { error: 'bob is not in the group devs.' }]);
  });

  it('tell, take and give packages', async () => {
    gateway.others.teach(Grants, 'listOfGroup', async () => ({
      packages: [{ channel: 'acme', name: 'tool', summary: 'A tool', attributesJson: '{}' }],
    }));
    gateway.others.teach(Grants, 'put', async () => ({}));
    gateway.others.teach(Grants, 'remove', async () => ({}));
    const answer = await ask('GET', '/group/acme/devs/packages');
    expect(answer.json()).toMatchObject([{ full_name: 'acme/tool', summary: 'A tool' }]);
    expect((await ask('PUT', '/group/acme/devs/packages/tool')).status).toBe(204);
    expect((await ask('DELETE', '/group/acme/devs/packages/tool')).status).toBe(204);
    const grant = { channel: 'acme', group: 'devs', package: 'tool' };
    expect(gateway.others.heardOf(Grants, 'put')).toMatchObject([grant]);
    expect(gateway.others.heardOf(Grants, 'remove')).toMatchObject([grant]);
  });

  it.each([
    ['GET', '/groups/acme'],
    ['GET', '/groups'],
    ['POST', '/group/acme/devs'],
    ['PUT', '/group/acme/devs/members/bob'],
    ['GET', '/group/acme/devs/packages'],
  ])('are nothing for %s %s by nobody', async (method, path) => {
    headers = {};
    expect((await ask(method, path)).status).toBe(401);
    expect(gateway.others.heard).toEqual([]);
  });

  it.each([
    ['POST', '/group/ACME/devs', 404],
    ['POST', '/group/acme/devs/members/bob', 404],
    ['PUT', '/group/acme/devs/members/Bob', 404],
  ])('are not at %s %s', async (method, path, status) => {
    expect((await ask(method, path)).status).toBe(status);
  });
});
