import { Fault } from '@vivarium/fault/fault';

/** A place in what an outbox announces: everything committed before it was read is among the first `seq` of `epoch`. */
export interface Position {
  /** A random name. Another epoch means that numbers say nothing about each other: drop what was remembered. */
  readonly epoch: string;
  /** 0 before the first message; then 1, 2, 3 … without a gap. */
  readonly seq: number;
}

/** A running transaction: of node-postgres, or of Prisma (`prisma.$transaction(async (tx) => …)`). */
export type Transaction =
  | { query(text: string, values: unknown[]): Promise<unknown> }
  | { $executeRawUnsafe(text: string, ...values: unknown[]): PromiseLike<number> };

const PAYLOAD_LIMIT_BYTES = 64 * 1024;

/**
 * Adds a message to the outbox in the transaction that changes what the message is about: both are committed, or
 * neither. It is announced once `Relay.wake()` is called after the commit, or by the next sweep.
 * A message carries keys, not data: throws Fault('too_large') above 64 KiB.
 */
export async function addToOutbox(tx: Transaction, topic: string, payload: Uint8Array): Promise<void> {
  if (payload.length > PAYLOAD_LIMIT_BYTES) {
    throw new Fault('too_large', `A message of ${payload.length} bytes on ${topic} is too large: send keys, not data.`);
  }
  const sql = 'INSERT INTO outbox (topic, payload) VALUES ($1, $2)';
  if ('$executeRawUnsafe' in tx) await tx.$executeRawUnsafe(sql, topic, payload);
  // node-postgres knows bytes as Buffer only.
  else await tx.query(sql, [topic, Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)]);
}

/** True if who knows `known` knows everything up to `wanted`. */
export function isCovered(wanted: Position, known: Position): boolean {
  return known.epoch === wanted.epoch && known.seq >= wanted.seq;
}
