import { changeDuring, type Forgetting } from '@vivarium/testkit/forgetting';
import { Poll } from '@vivarium/testkit/poll';
import type { Least } from './bare.js';
import { condaArtifact } from './fill.js';
import { fetchWhole } from './http-client.js';
import type { Pair } from './pair.js';
import { createToken } from './publish.js';
import type { Report } from './report.js';
import { rowOf, rowsOfPeers } from './rows.js';

const GOAL_MS = 100;

/** Revokes tokens that both gateways are answering at that moment: an index, an artifact and a simple page. */
export async function measureForget(pair: Pair): Promise<Report> {
  const { publisher, options } = pair;
  const artifact = condaArtifact('bench-forgotten', '1.0');
  await publisher.ensurePackage(artifact.name, 'conda', 'private');
  await publisher.publish(artifact);
  const [rounds, peers] = [[] as Forgetting[], [] as Least[]];
  for (let index = 0; index < options.forgettings; index++) {
    peers.push(await pair.bare.measure());
    rounds.push(await revoke(pair, `bench-forgotten-${index}`, artifact.basename));
  }
  const begun = rounds.map(({ lastBegunMs }) => Math.max(0, lastBegunMs));
  const after = rounds.reduce((sum, { servedAfter }) => sum + servedAfter, 0);
  return {
    title: `Revoke → last 200 begun at two gateways (${rounds.length} tokens, goal: p99 below ${GOAL_MS} ms)`,
    columns: ['what', 'p50 ms', 'p99 ms', 'max ms'],
    rows: [
      rowOf('DELETE sent → head of the last 200 at either gateway', begun),
      rowOf(
        'DELETE sent → answered',
        rounds.map(({ answeredMs }) => answeredMs),
      ),
      ...rowsOfPeers(peers, begun),
    ],
    notes: [
      `Three addresses at each gateway are asked for all the time; ${rounds.reduce((sum, { samples }) => sum + samples.length, 0)} answers in all.`,
      `200 for what was asked after the revocation was answered: ${after}.`,
    ],
    figures: rounds.map(({ samples, ...round }) => ({ ...round, answers: samples.length })),
  };
}

async function revoke(pair: Pair, name: string, basename: string): Promise<Forgetting> {
  const { api, admin } = pair.product;
  const authorization = `token ${pair.token}`;
  const victim = await createToken(api, authorization, name, ['repos']);
  const paths = [
    `/t/${victim}/${admin.login}/noarch/repodata.json`,
    `/t/${victim}/${admin.login}/${basename}`,
    `/pypi/t/${victim}/${admin.login}/simple/`,
  ];
  const probes = paths.flatMap((path) => pair.probes(path, path, (status) => status === 200));
  for (const { name: probe, ask } of probes) {
    const { status } = await ask();
    if (status !== 200) throw new Error(`a new token was answered ${status} at ${probe.replace(victim, '…')}`);
  }
  return changeDuring(new Poll(probes), async () => {
    const fields = { Authorization: authorization };
    const answer = await fetchWhole(`${api}/authentications/name/${name}`, { method: 'DELETE', fields });
    if (answer.status !== 201) throw new Error(`DELETE was answered ${answer.status}: ${answer.body.toString()}`);
  });
}
