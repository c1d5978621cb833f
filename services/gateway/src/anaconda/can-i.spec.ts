import { Decisions } from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

interface CanIPath {
  readonly get: { readonly parameters: readonly { readonly name: string }[] };
}

let gateway: Running;
let headers: Record<string, string>;

beforeEach(async () => {
  gateway = await startGateway();
  headers = { Authorization: `token ${gateway.token(ALICE)}` };
  gateway.others.teach(Decisions, 'explain', async () => ({ allow: true, reason: 'bob reads acme/secret' }));
});
afterEach(() => gateway.stop());

describe('can-i', () => {
  it('hands the question on and gives the answer with its reason', async () => {
    const query = 'as=bob&verb=read&resource=acme/secret&token=ci&label=dev&via=conda&subdir=noarch&address=192.0.2.1';
    const answer = await gateway.ask(`/api/can-i?${query}`, { headers });
    expect([answer.status, answer.json()]).toEqual([200, { allow: true, reason: 'bob reads acme/secret' }]);
    expect(gateway.others.heardOf(Decisions, 'explain')).toMatchObject([
      {
        ...{ as: 'bob', verb: 'read', channel: 'acme', package: 'secret' },
        ...{ token: 'ci', label: 'dev', via: 'conda', subdir: 'noarch', address: '192.0.2.1' },
      },
    ]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to authz');
    const { paths } = (await gateway.ask('/api/openapi.json')).json() as { paths: Record<string, CanIPath> };
    const described = paths['/api/can-i']?.get.parameters.map(({ name }) => name);
    expect(described?.sort()).toEqual([...new URLSearchParams(query).keys()].sort());
  });

  it('asks about oneself and about channels, too', async () => {
    await gateway.ask('/api/can-i?verb=own&resource=acme', { headers });
    expect(gateway.others.heardOf(Decisions, 'explain')).toMatchObject([{ as: '', verb: 'own', channel: 'acme' }]);
  });

  it.each(['', 'acme/', '/x', 'acme/x/y', 'a b'])('refuses the resource "%s"', async (resource) => {
    const path = `/api/can-i?as=bob&verb=read&resource=${encodeURIComponent(resource)}`;
    const answer = await gateway.ask(path, { headers });
    expect([answer.status, answer.json()]).toMatchObject([400, { error: expect.stringContaining('is no resource') }]);
  });

  it('is for those who are signed in', async () => {
    expect((await gateway.ask('/api/can-i?verb=read&resource=acme')).status).toBe(401);
    expect(gateway.others.heardOf(Decisions, 'explain')).toEqual([]);
  });
});
