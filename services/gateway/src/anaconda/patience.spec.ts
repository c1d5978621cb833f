import { Fault } from '@vivarium/fault/fault';
import { patiently } from './patience.js';

describe('a call that may be repeated', () => {
  it('is made again when nobody answered, and gives the later answer', async () => {
    let tries = 0;
    const answer = await patiently({ tryMs: 10, limitMs: 5_000 }, async () => {
      tries += 1;
      if (tries < 3) throw new Fault('unavailable', 'nobody answers');
      return 'done';
    });
    expect([answer, tries]).toEqual(['done', 3]);
  });

  it('is not made again when it was refused', async () => {
    let tries = 0;
    const refused = patiently({ tryMs: 10, limitMs: 5_000 }, async () => {
      tries += 1;
      throw new Fault('conflict', 'taken');
    });
    await expect(refused).rejects.toMatchObject({ code: 'conflict' });
    expect(tries).toBe(1);
  });

  it('is given up at the limit, with the last word', async () => {
    const late = patiently({ tryMs: 10, limitMs: 700 }, async () => {
      throw new Fault('unavailable', 'nobody answers');
    });
    await expect(late).rejects.toThrow('nobody answers');
  });
});
