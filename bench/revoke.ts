import { condaArtifact } from './fill.js';
import { fetchWhole } from './http-client.js';
import { createToken } from './publish.js';
import type { Report } from './report.js';
import type { Stand } from './stand.js';
import { percentileOf } from './statistics.js';
import { shown } from './table.js';

const WARM_MS = 50;
const PATIENCE_MS = 15_000;

interface Revocation {
  /** From sending the DELETE to receiving the first refusal, and the 201 of the DELETE. */
  readonly refusedMs: number;
  readonly answeredMs: number;
  /** Status of the first request that was sent after the DELETE was answered. */
  readonly statusAfter: number;
}

/** Revokes tokens that are in use at that moment. */
export async function measureRevoke(stand: Stand): Promise<Report> {
  const { publisher, options } = stand;
  const artifact = condaArtifact('bench-revoked', '1.0');
  await publisher.ensurePackage(artifact.name, 'conda', 'private');
  await publisher.publish(artifact);
  const revocations: Revocation[] = [];
  for (let index = 0; index < options.revocations; index++) {
    revocations.push(await revoke(stand, `bench-revoked-${index}`, artifact.basename));
  }
  const row = (what: string, values: readonly number[]): readonly string[] => [
    what,
    ...[percentileOf(values, 50), percentileOf(values, 99), Math.max(...values)].map((value) => shown(value, 1)),
  ];
  const leaks = revocations.filter(({ statusAfter }) => statusAfter !== 401).length;
  return {
    title: `Revoke → refused (${options.revocations} tokens, each polled without a pause on a private artifact)`,
    columns: ['what', 'p50 ms', 'p99 ms', 'max ms'],
    rows: [
      row(
        'DELETE sent → first 401',
        revocations.map(({ refusedMs }) => refusedMs),
      ),
      row(
        'DELETE sent → answered',
        revocations.map(({ answeredMs }) => answeredMs),
      ),
    ],
    notes: [`Requests sent after the DELETE was answered that were not refused: ${leaks} of ${revocations.length}.`],
    figures: revocations,
  };
}

async function revoke({ product, token }: Stand, name: string, basename: string): Promise<Revocation> {
  const { api, admin, url } = product;
  const authorization = `token ${token}`;
  const victim = await createToken(api, authorization, name, ['repos']);
  const target = `${url}/t/${victim}/${admin.login}/${basename}`;
  const first = await fetchWhole(target);
  if (first.status !== 200) throw new Error(`a new token was answered ${first.status}: ${first.body.toString()}`);
  const refused = untilRefused(target);
  await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  const sentAt = performance.now();
  const fields = { Authorization: authorization };
  const answer = await fetchWhole(`${api}/authentications/name/${name}`, { method: 'DELETE', fields });
  if (answer.status !== 201) throw new Error(`DELETE was answered ${answer.status}: ${answer.body.toString()}`);
  const after = await fetchWhole(target);
  return {
    refusedMs: (await refused) - sentAt,
    answeredMs: answer.receivedAt - sentAt,
    statusAfter: after.status,
  };
}

async function untilRefused(target: string): Promise<number> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const { status, receivedAt } = await fetchWhole(target);
    if (status === 401) return receivedAt;
  }
  throw new Error(`a revoked token was served for ${PATIENCE_MS} ms`);
}
