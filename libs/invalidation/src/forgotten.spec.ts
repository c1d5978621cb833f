import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from './forgotten.js';

describe('waiting until a change is forgotten everywhere', () => {
  const late = {
    code: 'unavailable',
    message: 'The token is revoked, but a gateway may not have heard of it for some seconds.',
  };
  const away = new Fault('unavailable', 'The connection between our services is down. Try again in a moment.');
  const wait = (barrier: () => Promise<boolean>) => untilForgotten({ barrier }, 'The token is revoked');

  it('ends when no gateway remembers', async () => {
    await expect(wait(async () => true)).resolves.toBeUndefined();
  });

  it('says what is done when a gateway may remember', async () => {
    await expect(wait(async () => false)).rejects.toMatchObject(late);
  });

  it('says what is done, and keeps the cause, when nobody could be told', async () => {
    await expect(wait(() => Promise.reject(away))).rejects.toMatchObject({ ...late, cause: away });
  });

  it('hands on what is no outage', async () => {
    const broken = new TypeError('broken');
    await expect(wait(() => Promise.reject(broken))).rejects.toBe(broken);
  });
});
