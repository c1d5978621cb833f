import { randomBytes } from 'node:crypto';
import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { openTicket, signTicket } from './ticket.js';

const KEY = new Uint8Array(32).fill(1);
const STAGE = '00112233445566778899aabbccddeeff';

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    return isFault(error) ? error.code : 'not a fault';
  }
}

describe('a ticket', () => {
  it('opens to the stage it was signed for, and fits a path segment', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const stageId = Buffer.from(bytes).toString('hex');
        const ticket = signTicket(stageId, KEY);
        expect(ticket).toMatch(/^[A-Za-z0-9-]+$/);
        expect(openTicket(ticket, KEY)).toBe(stageId);
      }),
    );
  });

  it('opens with no other key', () => {
    expect(codeOf(() => openTicket(signTicket(STAGE, KEY), randomBytes(32)))).toBe('forbidden');
  });

  it('is spoilt by any change of any character', () => {
    const ticket = signTicket(STAGE, KEY);
    for (let at = 0; at < ticket.length; at++) {
      const spoilt = ticket.slice(0, at) + (ticket[at] === '0' ? '1' : '0') + ticket.slice(at + 1);
      expect(codeOf(() => openTicket(spoilt, KEY))).toBe('forbidden');
    }
  });

  it.each(['', STAGE, `${STAGE}-`, `${STAGE}-${'0'.repeat(64)}`, `-${'0'.repeat(64)}`, 'x'.repeat(1_000_000)])(
    'is not %.40j',
    (text) => {
      expect(codeOf(() => openTicket(text, KEY))).toBe('forbidden');
    },
  );

  it('has one spelling', () => {
    expect(codeOf(() => openTicket(signTicket(STAGE, KEY).toUpperCase(), KEY))).toBe('forbidden');
    expect(codeOf(() => openTicket(`${signTicket(STAGE, KEY)}\n`, KEY))).toBe('forbidden');
  });

  it('is not signed for anything but a stage id, nor with a short key', () => {
    expect(codeOf(() => signTicket('1234', KEY))).toBe('invalid');
    expect(codeOf(() => signTicket(STAGE.toUpperCase(), KEY))).toBe('invalid');
    expect(codeOf(() => signTicket(STAGE, new Uint8Array(31)))).toBe('invalid');
    expect(codeOf(() => openTicket('', new Uint8Array(0)))).toBe('invalid');
  });
});
