import type { Config } from '@vivarium/boot/config';
import type { CheckRequest, CheckResponse, Difference } from '@vivarium/contracts/gen/vivarium/common/v1/upkeep_pb';
import { Heads as CondaHeads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Upkeep as CondaUpkeep } from '@vivarium/contracts/gen/vivarium/condaindex/v1/upkeep_pb';
import { Feed } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Upkeep as PackagesUpkeep } from '@vivarium/contracts/gen/vivarium/packages/v1/upkeep_pb';
import { Heads as PypiHeads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { Upkeep as PypiUpkeep } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/upkeep_pb';
import { type CallOptions, clientOf } from '@vivarium/rpc/rpc';
import { channelIdOf, type Installation, withInstallation } from './cli-installation.js';

export interface FsckFlags {
  readonly repair: boolean;
  readonly bytes: boolean;
}

/**
 * `vivarium fsck`: one line for each difference, then a summary. Gives how many differences are left.
 * Throws Fault('not_found') for a channel that does not exist.
 */
export function checkInstallation(config: Config, login: string | undefined, flags: FsckFlags): Promise<number> {
  return withInstallation(config, 'fsck', async (installation) => {
    const report = new Report();
    const channels = await channelsOf(installation, login);
    for (const channel of channels) {
      await checkChannel(installation, channel, { ...flags, objects: login !== undefined }, report);
    }
    if (login === undefined) {
      const { bus, asked } = installation;
      await pages(clientOf(PackagesUpkeep, bus), () => asked('packages'), { channelId: '', ...flags }, 'blobs', report);
    }
    report.summarize(channels.length, flags);
    return report.left;
  });
}

interface Channel {
  readonly id: string;
  readonly login: string;
}

async function channelsOf(installation: Installation, login: string | undefined): Promise<readonly Channel[]> {
  if (login !== undefined) return [{ login, id: await channelIdOf(installation, login) }];
  const { bus, asked } = installation;
  const channels: Channel[] = [];
  for (let after = ''; ; ) {
    const page = await clientOf(Feed, bus).channels({ sinceMs: 0n, after }, await asked('packages'));
    channels.push(...page.channels.map(({ channelId, login }) => ({ id: channelId, login })));
    const last = channels.at(-1);
    if (!page.more || last === undefined) return channels;
    after = last.id;
  }
}

async function checkChannel(
  { bus, asked }: Installation,
  { id: channelId, login }: Channel,
  flags: FsckFlags & { readonly objects: boolean },
  report: Report,
): Promise<void> {
  const request = { channelId, ...flags };
  await pages(clientOf(PackagesUpkeep, bus), () => asked('packages'), request, login, report);
  for (const [service, upkeep, heads] of [
    ['conda-index', clientOf(CondaUpkeep, bus), clientOf(CondaHeads, bus)],
    ['pypi-index', clientOf(PypiUpkeep, bus), clientOf(PypiHeads, bus)],
  ] as const) {
    const asking = () => asked(service);
    if (!flags.repair) {
      await pages(upkeep, asking, request, login, report);
      continue;
    }
    const { differences } = await pages(upkeep, asking, request, login, undefined);
    if (differences.some(({ rebuild }) => rebuild)) await heads.rebuild({ channelId }, await asking());
    // What is still there after that counts; the rest was mended.
    const again = await pages(upkeep, asking, request, login, report);
    const left = new Set(again.differences.filter(({ repaired }) => !repaired).map(({ what }) => what));
    const told = new Set(again.differences.map(({ what }) => what));
    for (const each of differences) {
      if (!told.has(each.what)) report.tell(login, { ...each, repaired: !left.has(each.what) });
    }
  }
}

type Upkeep = Readonly<{
  check(request: Partial<Asked>, options: CallOptions): Promise<CheckResponse>;
}>;
type Asked = Pick<CheckRequest, 'channelId' | 'bytes' | 'repair' | 'objects' | 'after'>;

/** All pages of one check, told as they come if there is a report. */
async function pages(
  upkeep: Upkeep,
  asking: () => Promise<CallOptions>,
  request: Partial<Asked>,
  where: string,
  report: Report | undefined,
): Promise<{ readonly differences: readonly Difference[] }> {
  const differences: Difference[] = [];
  for (let after = ''; ; ) {
    const page = await upkeep.check({ ...request, after }, await asking());
    report?.count(page);
    for (const each of page.differences) report?.tell(where, each);
    differences.push(...page.differences);
    if (page.next === '') return { differences };
    after = page.next;
  }
}

class Report {
  readonly #lookedAt = new Map<string, bigint>();
  #repaired = 0;
  #left = 0;
  #isMore = false;

  get left(): number {
    return this.#left;
  }

  tell(where: string, { what, remedy, repaired }: Pick<Difference, 'what' | 'remedy' | 'repaired'>): void {
    if (repaired) this.#repaired++;
    else this.#left++;
    process.stdout.write(`${where}: ${what}; ${repaired ? 'repaired' : `to mend it: ${remedy}`}\n`);
  }

  count({ lookedAt, moreDifferences }: CheckResponse): void {
    this.#isMore ||= moreDifferences;
    for (const [sort, count] of Object.entries(lookedAt)) {
      this.#lookedAt.set(sort, (this.#lookedAt.get(sort) ?? 0n) + count);
    }
  }

  summarize(channels: number, { bytes, repair }: FsckFlags): void {
    const looked = [`${channels} channels`, ...[...this.#lookedAt].map(([sort, count]) => `${count} ${sort}`)];
    const found = `${this.#left}${this.#isMore ? ' and more' : ''} differences`;
    const ends = repair ? `${this.#repaired} repaired, ${found} left` : found;
    process.stdout.write(`looked at ${looked.join(', ')}${bytes ? ', with all bytes' : ''}: ${ends}\n`);
  }
}
