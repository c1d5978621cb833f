import { createHmac, timingSafeEqual } from 'node:crypto';
import { Fault } from '@vivarium/fault/fault';

const STAGE_ID = /^[0-9a-f]{32}$/;
const TICKET = /^([0-9a-f]{32})-([0-9a-f]{64})$/;
const KEY_SIZE_BYTES = 32;

/**
 * The ticket that lets its bearer send the bytes of one stage, and nothing else: `<stage id>-<HMAC-SHA256 in hex>`,
 * made of `[a-z0-9-]` so that it fits a path segment. `stageId` is 128 bits in lower case hex.
 * Throws Fault('invalid') for another stage id or a key under 32 bytes.
 */
export function signTicket(stageId: string, key: Uint8Array): string {
  if (!STAGE_ID.test(stageId)) throw new Fault('invalid', 'a stage id is 32 lower case hexadecimal digits');
  return `${stageId}-${macOf(stageId, key).toString('hex')}`;
}

/**
 * The stage id of a ticket that `signTicket` made with this key. Takes the same time for every wrong signature.
 * Throws Fault('forbidden') for anything else, Fault('invalid') for a key under 32 bytes.
 */
export function openTicket(ticket: string, key: Uint8Array): string {
  const [, stageId, mac] = TICKET.exec(ticket) ?? [];
  // A malformed ticket is compared too: with bytes that no ticket has.
  const expected = macOf(stageId ?? '', key);
  const given = Buffer.from(mac ?? '00'.repeat(expected.length), 'hex');
  if (stageId === undefined || !timingSafeEqual(given, expected)) {
    throw new Fault('forbidden', 'this upload address is not one that we gave out; start the upload again');
  }
  return stageId;
}

function macOf(stageId: string, key: Uint8Array): Buffer {
  if (key.length < KEY_SIZE_BYTES) throw new Fault('invalid', `a ticket key has at least ${KEY_SIZE_BYTES} bytes`);
  return createHmac('sha256', key).update(`stage:${stageId}`, 'utf8').digest();
}
