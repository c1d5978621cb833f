import { randomBytes } from 'node:crypto';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { type Audience, audienceOf } from '@vivarium/access/audience';
import { strangerView, type View } from '@vivarium/access/view';
import {
  type ChannelDataRequest,
  ChannelData as Contract,
} from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import { LocalExchange } from '@vivarium/rpc/local';
import { serve } from '@vivarium/rpc/rpc';
import { Trust } from '@vivarium/trust/trust';
import type { Channel } from './access.js';
import { ChannelData } from './channel-data.js';

const PUBLIC = audienceOf({ visibility: 'public', grants: [] });
const OURS = audienceOf({ visibility: 'private', grants: [{ kind: 'group', id: 'devs', permission: 'read' }] });
const CHANNELDATA = { kind: 'channeldata' } as const;
const member = (accountId: string): View => ({
  everything: false,
  signedIn: true,
  principals: ['group:devs', `user:${accountId}`],
});

/** A channel as packages holds it: each package with the generation that changed it. */
class Channels {
  generation = 1;
  readonly packages = new Map<string, { audience: Audience; changed: number; json?: string | undefined }>();
  readonly heard: ChannelDataRequest[] = [];
  /** Done before an answer. */
  before: () => Promise<void> | void = () => undefined;

  put(name: string, audience: Audience, json?: string): void {
    this.generation += 1;
    this.packages.set(name, { audience, changed: this.generation, json });
  }

  fact(): Channel {
    return {
      id: 'c1',
      login: 'acme',
      ownerId: 'c1',
      kind: 'organization',
      defaultVisibility: 'public',
      incarnation: 'i',
      generation: this.generation,
      floor: 0,
      audiences: [...new Set([...this.packages.values()].map(({ audience }) => audience))],
    };
  }

  /** Two names a page. */
  async page(request: ChannelDataRequest) {
    this.heard.push(request);
    const generation = BigInt(this.generation);
    await this.before();
    const since = Number(request.sinceGeneration);
    const all = [...this.packages].filter(([name, { changed }]) => name > request.after && changed > since).sort();
    const page = all.slice(0, 2);
    const entries = page.flatMap(([name, { audience, json }]) =>
      json === undefined || !request.audienceIds.includes(audience.id)
        ? []
        : [{ name, filename: request.subdir === '' ? '' : `${name}-1-0.conda`, json, subdirs: ['noarch'] }],
    );
    const next = all.length > 2 ? (page.at(-1)?.[0] ?? '') : '';
    return { entries, changed: since === 0 ? [] : page.map(([name]) => name), generation, next };
  }
}

async function start(limitBytes?: number) {
  const exchange = new LocalExchange();
  const log = { error: (fields: unknown) => console.error(fields) };
  const [bus, others] = [exchange.connect(log), exchange.connect(log)];
  const channels = new Channels();
  const answer = (request: ChannelDataRequest) => channels.page(request);
  await serve(Contract, { packages: answer, runExports: answer }, others, log);
  const trust = new Trust({ service: 'gateway', secret: randomBytes(32).toString('hex'), bus, clock: Date.now });
  const files = new ChannelData({ bus, trust }, limitBytes);
  const read = (view: View, channel = channels.fact()) => files.read(channel, 'main', view, CHANNELDATA, 'plain');
  const names = async (view: View) =>
    Object.keys(JSON.parse(String((await read(view)).bytes)).packages as Record<string, unknown>);
  return { channels, files, read, names };
}

describe('the files of a whole channel', () => {
  it('are made once for all who see the same, and for nobody else', async () => {
    const { channels, names } = await start();
    for (const name of ['a', 'b', 'c']) channels.put(name, PUBLIC, '{}');
    channels.put('secret', OURS, '{}');
    expect(await names(strangerView())).toEqual(['a', 'b', 'c']);
    expect(await names(member('ann'))).toEqual(['a', 'b', 'c', 'secret']);
    const asked = channels.heard.length;
    expect(await names(member('bob'))).toEqual(['a', 'b', 'c', 'secret']);
    expect(await names({ ...strangerView(), signedIn: true })).toEqual(['a', 'b', 'c']);
    expect(channels.heard).toHaveLength(asked);
  });

  it('ask for what changed only, and show what is new, changed and gone', async () => {
    const { channels, names, read } = await start();
    for (const name of ['a', 'b', 'c', 'd']) channels.put(name, PUBLIC, '{}');
    await names(strangerView());
    const before = channels.generation;
    channels.heard.length = 0;
    channels.put('b', PUBLIC);
    channels.put('e', PUBLIC, '{}');
    channels.put('c', PUBLIC, '{"version":"2"}');
    expect(await names(strangerView())).toEqual(['a', 'c', 'd', 'e']);
    expect(String((await read(strangerView())).bytes)).toContain('"c":{"version":"2"}');
    expect(channels.heard.map(({ sinceGeneration, after }) => [sinceGeneration, after])).toEqual([
      [BigInt(before), ''],
      [BigInt(before), 'c'],
    ]);
  });

  it('are the same, with the same ETag, when what changed is hidden', async () => {
    const { channels, read } = await start();
    channels.put('a', PUBLIC, '{}');
    const before = await read(strangerView());
    channels.put('secret', OURS, '{}');
    expect(await read(strangerView())).toEqual(before);
    channels.put('a', OURS, '{}');
    const after = await read(strangerView());
    expect(after.etag).not.toBe(before.etag);
    expect(String(after.bytes)).not.toContain('"a"');
  });

  it('never answer from a reading that began before the change that a reader knows of', async () => {
    const { channels, read } = await start();
    channels.put('a', PUBLIC, '{}');
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    channels.before = () => held;
    const early = read(strangerView());
    while (channels.heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
    channels.before = () => undefined;
    channels.put('b', PUBLIC, '{}');
    const late = read(strangerView());
    release();
    await early;
    expect(String((await late).bytes)).toContain('"b"');
  });

  it('are asked for by many at once, and read once', async () => {
    const { channels, read } = await start();
    channels.put('a', PUBLIC, '{}');
    const all = await Promise.all(Array.from({ length: 50 }, () => read(strangerView())));
    expect(new Set(all.map(({ etag }) => etag)).size).toBe(1);
    expect(channels.heard).toHaveLength(1);
  });

  it('wait for each other when they are long, and for nobody when they are short', async () => {
    const { channels, files } = await start();
    for (let n = 10; n < 40; n++) channels.put(`a-${n}`, PUBLIC, '{}');
    for (let n = 10; n < 40; n++) channels.put(`b-${n}`, OURS, '{}');
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const asked = (label: string) => channels.heard.filter((each) => each.label === label).length;
    const read = (label: string, channel = channels.fact()) =>
      files.read(channel, label, strangerView(), CHANNELDATA, 'plain');
    const until = async (isSo: () => boolean) => {
      while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
    };
    channels.before = () => (asked('first') > 10 ? held : undefined);
    const first = read('first');
    await until(() => asked('first') > 10);
    channels.before = () => undefined;
    const second = read('second');
    await until(() => asked('second') === 8);
    for (const name of [...channels.packages.keys()]) if (name > 'a-12') channels.packages.delete(name);
    expect(Object.keys(JSON.parse(String((await read('short')).bytes)).packages)).toHaveLength(3);
    expect(asked('second')).toBe(8);
    release();
    await Promise.all([first, second]);
    expect(asked('second')).toBeGreaterThan(8);
  });

  it('have an ETag for each packing, which all unpack to the same', async () => {
    const { channels, files } = await start();
    channels.put('a', PUBLIC, '{"run_exports":{}}');
    const file = { kind: 'run-exports', subdir: 'noarch' } as const;
    const [plain, gzip, zst] = await Promise.all(
      (['plain', 'gzip', 'zst'] as const).map((packing) =>
        files.read(channels.fact(), 'main', strangerView(), file, packing),
      ),
    );
    expect(new Set([plain?.etag, gzip?.etag, zst?.etag]).size).toBe(3);
    expect(JSON.parse(String(plain?.bytes))).toEqual({
      info: { subdir: 'noarch', version: 1 },
      packages: {},
      'packages.conda': { 'a-1-0.conda': { run_exports: {} } },
    });
    expect(gunzipSync(gzip?.bytes ?? '')).toEqual(plain?.bytes);
    expect(zstdDecompressSync(zst?.bytes ?? Buffer.alloc(0))).toEqual(plain?.bytes);
  });

  it('are refused above a size, without reading on, and are there again for those who see less', async () => {
    const { channels, read, names } = await start(2_000);
    channels.put('a', PUBLIC, '{}');
    for (let n = 0; n < 20; n++) channels.put(`big-${n}`, OURS, `{"summary":"${'x'.repeat(500)}"}`);
    await expect(read(member('ann'))).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringMatching(/^channeldata\.json of acme is not made: it would have more than/),
    });
    const asked = channels.heard.length;
    expect(asked).toBeLessThan(6);
    await expect(read(member('bob'))).rejects.toMatchObject({ code: 'not_found' });
    expect(channels.heard).toHaveLength(asked);
    expect(await names(strangerView())).toEqual(['a']);
  });
});
