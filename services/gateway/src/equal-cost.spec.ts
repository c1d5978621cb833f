import { Heads as CondaHeads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Files } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Packages, Releases } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Heads as PypiHeads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, BOB, type Running, startGateway } from './gateway.fixture.js';

let gateway: Running;
beforeEach(async () => {
  gateway = await startGateway();
  const { others } = gateway;
  // The services answer for what they hide as for what they do not have.
  others.teach(Files, 'at', async () => ({ found: false }));
  others.teach(CondaHeads, 'find', async () => ({ manifestKey: '', generation: 7n }));
  others.teach(CondaHeads, 'retiredShard', async () => ({ found: false }));
  others.teach(PypiHeads, 'find', async () => ({ manifestKey: '', generation: 7n }));
  const missing = async () => {
    throw new Fault('not_found', 'alice has no such package.');
  };
  others.teach(Packages, 'find', missing);
  others.teach(Packages, 'update', missing);
  others.teach(Packages, 'delete', missing);
  others.teach(Releases, 'find', missing);
  others.teach(Files, 'find', missing);
  others.teach(Stages, 'open', missing);
});
afterEach(() => gateway.stop());

const SHARD = { hidden: 'a'.repeat(64), absent: 'b'.repeat(64) };

/** One address for each way in which a name is looked up. */
const NAMED: readonly (readonly [string, string])[] = [
  ['GET', '/conda/alice/noarch/NAME-1-0.conda'],
  ['HEAD', '/conda/alice/noarch/NAME-2-0.conda'],
  ['GET', '/conda/alice/label/dev/noarch/NAME-1-0.conda'],
  ['GET', '/alice/linux-64/NAME-1-0.conda'],
  ['GET', '/conda/alice/noarch/shards/SHARD.msgpack.zst'],
  ['GET', '/pypi/alice/simple/NAME/'],
  ['GET', '/pypi/alice/simple/NAME'],
  ['GET', '/pypi/alice/files/SHARD/NAME-1-py3-none-any.whl'],
  ['GET', '/pypi/alice/files/SHARD/NAME-1-py3-none-any.whl.metadata'],
  ['GET', '/api/package/alice/NAME'],
  ['GET', '/api/package/alice/NAME/files'],
  ['GET', '/api/release/alice/NAME/1'],
  ['GET', '/api/dist/alice/NAME/1/noarch/NAME-1-0.conda'],
  ['GET', '/api/download/alice/NAME/1/noarch/NAME-1-0.conda'],
  ['PATCH', '/api/package/alice/NAME'],
  ['DELETE', '/api/package/alice/NAME'],
  ['GET', '/alice/NAME'],
];

/** What other services are asked for one request. */
async function callsOf(method: string, path: string, headers: Record<string, string>): Promise<readonly string[]> {
  gateway.others.heard.length = 0;
  await gateway.ask(path, { method, headers });
  return gateway.others.heard.map(({ rpc }) => rpc);
}

const CALLERS = (): Readonly<Record<string, Record<string, string>>> => ({
  nobody: {},
  'another user': { Authorization: `token ${gateway.token(BOB)}` },
  'a token without scope': { Authorization: `token ${gateway.token({ ...ALICE, scopes: ['api:modify-group'] })}` },
});

describe('what is hidden', () => {
  it('costs the calls that what is missing costs, at every address and for every caller', async () => {
    for (const [caller, headers] of Object.entries(CALLERS())) {
      // An insider has looked at everything, and the stranger at something else.
      const insider = { Authorization: `token ${gateway.token(ALICE)}` };
      for (const [method, path] of NAMED) {
        const at = (name: 'hidden' | 'absent') => path.replaceAll('NAME', name).replaceAll('SHARD', SHARD[name]);
        await callsOf(method, at('hidden'), insider);
        await callsOf(method, path.replaceAll('NAME', 'other').replaceAll('SHARD', 'c'.repeat(64)), headers);
        const [hidden, missing] = [
          await callsOf(method, at('hidden'), headers),
          await callsOf(method, at('absent'), headers),
        ];
        expect([caller, method, path, hidden]).toEqual([caller, method, path, missing]);
      }
    }
  });

  it('costs the calls that what is missing costs where it is a whole channel', async () => {
    for (const [caller, headers] of Object.entries(CALLERS())) {
      for (const path of [
        '/conda/CHANNEL/noarch/repodata.json',
        '/conda/CHANNEL/noarch/foo-1-0.conda',
        '/pypi/CHANNEL/simple/',
        '/pypi/CHANNEL/simple/foo/',
        '/pypi/CHANNEL/legacy/',
        '/api/user/CHANNEL',
        '/api/users/CHANNEL/orgs',
        '/api/channels/CHANNEL/generation',
      ]) {
        const counted: (readonly string[])[] = [];
        // Who asks is known by then.
        await callsOf('GET', path.replace('CHANNEL', 'bobby'), headers);
        for (const channel of ['hidden', 'nobody'])
          counted.push(await callsOf('GET', path.replace('CHANNEL', channel), headers));
        expect([caller, path, counted[0]]).toEqual([caller, path, counted[1]]);
      }
    }
  });
});
