import { changeDuring, type Forgetting } from '@vivarium/testkit/forgetting';
import { Poll, type Probe } from '@vivarium/testkit/poll';
import { formatsOf } from '@vivarium/testkit/stranger-formats';
import type { Least } from './bare.js';
import { condaArtifact, wheelArtifact } from './fill.js';
import type { Pair } from './pair.js';
import type { Report } from './report.js';
import { rowOf, rowsOfPeers } from './rows.js';

/** Makes packages private that are public, while strangers ask both gateways for them in every format. */
export async function measureHide(pair: Pair): Promise<Report> {
  const [rounds, peers] = [[] as Forgetting[], [] as Least[]];
  for (let index = 0; index < pair.options.hidings; index++) {
    peers.push(await pair.bare.measure());
    rounds.push(await hide(pair, `bench-hidden-${index}`));
  }
  const lasts = rounds.map(({ lastBegunMs }) => Math.max(0, lastBegunMs));
  const after = rounds.reduce((sum, { servedAfter }) => sum + servedAfter, 0);
  const formats = [...new Set(rounds.flatMap(({ samples }) => samples.map(({ probe }) => formatOf(probe))))];
  return {
    title: `Public → private: until the name is in no format of two gateways (${rounds.length} packages, one at a time)`,
    columns: ['what', 'p50 ms', 'p99 ms', 'max ms'],
    rows: [
      rowOf('PATCH sent → head of the last answer that shows it, any format', lasts),
      rowOf(
        'PATCH sent → answered',
        rounds.map(({ answeredMs }) => answeredMs),
      ),
      ...formats.map((format) =>
        rowOf(
          `  ${format}`,
          rounds.map((round) => lastOf(round, format)),
        ),
      ),
      ...rowsOfPeers(peers, lasts),
    ],
    notes: [
      'Each package has a conda file and a wheel. All formats are asked for all the time, by nobody in particular.',
      `Answers that show the name though asked for after the 200 of the PATCH: ${after}.`,
    ],
    figures: rounds.map(({ samples, ...round }) => ({
      ...round,
      byFormat: Object.fromEntries(formats.map((format) => [format, lastOf({ ...round, samples }, format)])),
    })),
  };
}

async function hide(pair: Pair, name: string): Promise<Forgetting> {
  const { publisher, product } = pair;
  const [conda, wheel] = [condaArtifact(name, '1.0'), wheelArtifact(name, '1.0')];
  await publisher.publish(conda);
  await publisher.publish(wheel);
  const probes = probesFor(pair, name, { conda: conda.basename, sha256: wheel.sha256, wheel: wheel.basename });
  for (const { name: probe, ask } of probes) {
    const { status, isServed } = await ask();
    if (!isServed) throw new Error(`${probe} answers ${status} and does not show what was published`);
  }
  return changeDuring(new Poll(probes), () =>
    publisher.call('PATCH', `package/${product.admin.login}/${name}`, { visibility: 'private' }),
  );
}

function probesFor(
  { product, probes }: Pair,
  name: string,
  file: { readonly conda: string; readonly sha256: string; readonly wheel: string },
): readonly Probe[] {
  const { login } = product.admin;
  const isSent = (status: number): boolean => status === 200;
  return [
    ...formatsOf(login).flatMap(({ name: format, path, headers, textOf }) =>
      probes(format, path, (status, body) => status === 200 && textOf(body).includes(name), headers),
    ),
    ...probes('simple page', `/pypi/${login}/simple/${name}/`, isSent),
    ...probes('conda file', `/conda/${login}/${file.conda}`, isSent),
    ...probes('wheel', `/pypi/${login}/files/${file.sha256}/${file.wheel}`, isSent),
    ...probes(
      'listing of the API',
      `/api/packages/${login}`,
      (status, body) => status === 200 && body.toString().includes(`"${name}"`),
    ),
  ];
}

/** A probe's name without its gateway. */
function formatOf(probe: string): string {
  return probe.replace(/, gateway \d+$/, '');
}

/** When the head of the last answer of a format was there that showed the name, from the sending of the change. */
function lastOf({ samples, sentAt }: Forgetting, format: string): number {
  const served = samples.filter(({ probe, isServed }) => isServed && formatOf(probe) === format);
  return Math.max(0, ...served.map(({ headMs }) => headMs - sentAt));
}
