import { jest } from '@jest/globals';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(60_000);

describe('a change of packages that a gateway may not have heard of', () => {
  let running: RunningPackages;

  beforeAll(async () => {
    running = await RunningPackages.start();
  });
  afterAll(() => running.stop());

  it('is made, answered as unavailable, and answered as done when it is asked for again', async () => {
    // An assertion of its own for each call: it lives five seconds.
    const asAnn = () => running.packages(running.user('ann'));
    await (await asAnn()).create({ channel: 'ann', name: 'shown' });
    // It holds a lease and never says that it has heard anything.
    await running.pool.query(
      "INSERT INTO leases (holder, until, acked_epoch, acked) VALUES ('silent', now() + interval '1 hour', '', 0)",
    );
    const hidden = { channel: 'ann', name: 'shown', visibility: 'private' };
    const hide = async () => (await asAnn()).update(hidden, { timeoutMs: 20_000 });
    const make = async () => (await asAnn()).create({ channel: 'ann', name: 'made' }, { timeoutMs: 20_000 });
    const late = 'but a gateway may not have heard of it for some seconds.';
    await Promise.all([
      expect(make()).rejects.toMatchObject({
        code: 'unavailable',
        message: `The package made is made, ${late}`,
      }),
      expect(hide()).rejects.toMatchObject({ code: 'unavailable', message: `The change is made, ${late}` }),
    ]);
    // Asked again it is still not said to be done.
    await expect(hide()).rejects.toMatchObject({ code: 'unavailable' });
    const { packages: found } = await (await asAnn()).list({ channel: 'ann', after: '', limit: 10 });
    expect(found.map(({ name, visibility }) => [name, visibility]).sort()).toEqual([
      ['made', 'public'],
      ['shown', 'private'],
    ]);

    await running.pool.query("DELETE FROM leases WHERE holder = 'silent'");
    expect((await hide()).package?.visibility).toBe('private');
  });
});
