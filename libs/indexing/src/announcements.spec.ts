import { setTimeout as sleep } from 'node:timers/promises';
import { type ChannelReadable, ChannelReadableSchema } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { subscribeEvent } from '@vivarium/rpc/events';
import { LocalExchange } from '@vivarium/rpc/local';
import { Announcements } from './announcements.js';

describe('announcements', () => {
  async function open(barrier: () => Promise<boolean>) {
    const bus = new LocalExchange().connect({ error: console.error });
    const heard: ChannelReadable[] = [];
    await subscribeEvent(bus, ChannelReadableSchema, 'readable.acme.conda', (event) => heard.push(event));
    const warnings: string[] = [];
    const warn = (_: unknown, message: string) => void warnings.push(message);
    const announcements = new Announcements({
      bus,
      invalidations: { barrier },
      kind: 'conda',
      log: { warn, error: warn },
    });
    return { announcements, heard, warnings };
  }

  it('say that a channel is readable once every gateway knows it, not before', async () => {
    let know: (value: boolean) => void = () => undefined;
    const { announcements, heard } = await open(() => new Promise((resolve) => (know = resolve)));
    announcements.announce('acme', 7);
    await sleep(20);
    expect(heard).toEqual([]);
    know(true);
    await sleep(20);
    expect(heard).toMatchObject([{ channelId: 'acme', kind: 'conda', generation: 7n }]);
  });

  it('wait on when a gateway is late or the database was away', async () => {
    const answers = [() => false, fails, () => true];
    const { announcements, heard, warnings } = await open(async () => answers.shift()?.() ?? false);
    announcements.announce('acme', 7);
    await sleep(200);
    expect(heard).toHaveLength(1);
    expect(warnings).toHaveLength(2);
  });

  it('leave an older generation to a newer one that waits too', async () => {
    const { announcements, heard } = await open(async () => {
      await sleep(20);
      return heard.length > 0 || asked++ > 2;
    });
    let asked = 0;
    announcements.announce('acme', 7);
    announcements.announce('acme', 8);
    await sleep(200);
    expect(heard.map(({ generation }) => generation).at(-1)).toBe(8n);
  });

  it('give up when they are stopped', async () => {
    const { announcements, heard } = await open(async () => {
      await sleep(10);
      return false;
    });
    announcements.announce('acme', 7);
    await announcements.stop();
    expect(heard).toEqual([]);
  });
});

function fails(): never {
  throw new Error('away');
}
