import { jest } from '@jest/globals';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Notices } from '@vivarium/contracts/gen/vivarium/packages/v1/notices_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(60_000);

const DAY_MS = 24 * 60 * 60 * 1_000;

describe('notices of a channel', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bob: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    [ann, bob] = [running.user('ann'), running.user('bob')];
  });
  afterAll(() => running.stop());

  const soon = () => BigInt(Date.now() + DAY_MS);
  const notices = (caller: Caller | undefined) => running.notices(caller);
  async function draft(message: string, more: { level?: string; expiresAtMs?: bigint } = {}): Promise<string> {
    const asked = { channel: 'ann', message, level: 'info', expiresAtMs: soon(), ...more };
    return (await (await notices(ann)).create(asked)).notice?.id ?? '';
  }
  const told = async (caller: Caller | undefined) =>
    (await (await notices(caller)).list({ channel: 'ann' })).notices.map(({ message }) => message);
  const events = async () =>
    (await running.pool.query("SELECT action FROM audit WHERE action LIKE 'notice.%' ORDER BY id")).rows.map(
      ({ action }) => action as string,
    );

  it('are drafts for their writers, then told to all readers, then archived, each step one event', async () => {
    const id = await draft('Closed  on\nSunday.');
    expect([await told(ann), await told(bob), await told(undefined)]).toEqual([['Closed on Sunday.'], [], []]);
    await expect((await notices(bob)).find({ channel: 'ann', id })).rejects.toMatchObject({ code: 'not_found' });
    const writer = await notices(ann);
    await expect(writer.update({ channel: 'ann', id, status: 'archived' })).rejects.toMatchObject({ code: 'invalid' });
    for (const _ of ['once', 'again']) await writer.update({ channel: 'ann', id, status: 'published' });
    expect([await told(bob), await told(undefined)]).toEqual([['Closed on Sunday.'], ['Closed on Sunday.']]);
    expect((await (await notices(bob)).find({ channel: 'ann', id })).notice).toMatchObject({ status: 'published' });
    await writer.update({ channel: 'ann', id, status: 'archived' });
    expect(await told(bob)).toEqual([]);
    await writer.delete({ channel: 'ann', id });
    expect(await told(ann)).toEqual([]);
    expect((await writer.list({ channel: 'ann', status: 'deleted' })).notices).toMatchObject([{ id }]);
    await expect(writer.update({ channel: 'ann', id, status: 'published' })).rejects.toMatchObject({
      code: 'not_found',
    });
    expect(await events()).toEqual(['notice.create', 'notice.publish', 'notice.archive', 'notice.delete']);
  });

  it('are not told when they have expired', async () => {
    const id = await draft('Over soon.', { expiresAtMs: BigInt(Date.now() + 50) });
    await (await notices(ann)).update({ channel: 'ann', id, status: 'published' }).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await told(bob)).not.toContain('Over soon.');
    expect(await told(ann)).toContain('Over soon.');
  });

  it('are changed by nobody without admin, and hidden with their channel', async () => {
    const id = await draft('Mine.');
    const refused = { code: 'forbidden' };
    const asked = { channel: 'ann', message: 'm', level: 'info', expiresAtMs: soon() };
    const reading = running.token(ann, 'reads', { scopes: ['api:read'] });
    for (const caller of [bob, reading]) {
      const client = await notices(caller);
      await expect(client.create(asked)).rejects.toMatchObject(refused);
      await expect(client.update({ channel: 'ann', id, level: 'critical' })).rejects.toMatchObject(refused);
      await expect(client.delete({ channel: 'ann', id })).rejects.toMatchObject(refused);
    }
    await (await notices(ann)).update({ channel: 'ann', id, status: 'published' });
    await (await running.visibilities(ann)).setDefault({ channel: 'ann', visibility: 'private' });
    const [hidden, none] = await Promise.all(
      ['ann', 'nobody'].map(async (channel) =>
        (await notices(bob)).list({ channel }).catch((error: Error) => error.message.replace(`"${channel}"`, 'X')),
      ),
    );
    expect(hidden).toBe(none);
    await (await running.visibilities(ann)).setDefault({ channel: 'ann', visibility: 'public' });
  });

  it('are refused where they cannot be', async () => {
    const client = await notices(ann);
    const bad = [
      { message: ' \n ' },
      { message: 'x'.repeat(601) },
      { message: 'a\u001b[31mb' },
      { level: 'shout' },
      { expiresAtMs: BigInt(Date.now() - 1_000) },
      { expiresAtMs: BigInt(Date.now() + 20_000 * DAY_MS) },
    ];
    for (const each of bad) {
      const asked = { channel: 'ann', message: 'm', level: 'info', expiresAtMs: soon(), ...each };
      await expect(client.create(asked)).rejects.toMatchObject({ code: 'invalid' });
    }
    await expect(client.list({ channel: 'ann', status: 'loud' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(client.find({ channel: 'ann', id: 'none' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('pages through many, and counts them', async () => {
    for (const message of ['one', 'two', 'three']) await draft(message);
    const client = await notices(ann);
    const first = await client.list({ channel: 'ann', limit: 2 });
    const second = await client.list({ channel: 'ann', limit: 2, offset: 2 });
    expect(first.notices.map(({ message }) => message)).toEqual(['three', 'two']);
    expect(second.notices[0]?.message).toBe('one');
    expect(second.total).toBe(first.total);
    expect((await client.list({ channel: 'ann', offset: 1_000 })).total).toBe(first.total);
  });

  it('are read whole by gateways only', async () => {
    const asked = { channelId: 'id-ann' };
    await expect((await notices(ann)).published(asked)).rejects.toMatchObject({ code: 'unauthenticated' });
    const [gateway, index] = await Promise.all(['gateway', 'conda-index'].map((name) => running.assertionOf(name)));
    const ask = (assertion = '') => clientOf(Notices, running.bus, { assertion }).published(asked);
    await expect(ask(index)).rejects.toMatchObject({ code: 'forbidden' });
    expect((await ask(gateway)).notices.map(({ message }) => message)).toEqual(['Mine.']);
  });
});
