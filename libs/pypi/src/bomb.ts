import { Fault } from '@vivarium/fault/fault';

/** How much an archive may unpack to. */
export interface UnpackLimits {
  /** Never more than this, whatever the ratio. */
  readonly unpackedBytes: number;
  /** Up to here the ratio does not matter: small texts compress very well. */
  readonly freeBytes: number;
  /** Unpacked bytes per byte of the file. */
  readonly ratio: number;
  readonly members: number;
}

export const DEFAULT_UNPACK_LIMITS: UnpackLimits = {
  unpackedBytes: 16 * 1024 ** 3,
  freeBytes: 64 * 1024 ** 2,
  ratio: 50,
  members: 100_000,
};

/**
 * Throws Fault('invalid') if an archive of `sizeBytes` unpacks to more than is allowed. Asked with what an archive
 * declares before anything is unpacked, and again with what was really unpacked, since declared sizes may lie.
 */
export function refuseBomb(unpackedBytes: number, sizeBytes: number, limits: UnpackLimits): void {
  if (unpackedBytes > limits.unpackedBytes) {
    throw new Fault(
      'invalid',
      `The archive unpacks to more than ${limits.unpackedBytes} bytes, the most that is accepted.`,
    );
  }
  if (unpackedBytes > limits.freeBytes && unpackedBytes > limits.ratio * sizeBytes) {
    throw new Fault(
      'invalid',
      `The archive unpacks to more than ${limits.ratio} times its size, so it is taken for a bomb.`,
    );
  }
}
