import { types } from 'node:util';
import { Fault, isFault } from '@vivarium/fault/fault';

// Source: PostgreSQL, "Error Codes"; and Node's system errors for a server that cannot be reached.
const UNAVAILABLE_CODES = new Set([
  '53300', // too many clients
  '57P01', // terminated by an administrator
  '57P02', // ended by a crash
  '57P03', // starting up or shutting down
  '57P05', // idle session cut
  '25P03', // idle transaction cut
  '25006', // read-only: a former primary
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  'P1001', // Prisma: cannot reach the server
  'P1002',
  'P1008',
  'P1017', // Prisma: the server closed the connection
  'P2024', // Prisma: no connection of the pool became free
  'P2028', // Prisma: a transaction could not begin, or was open too long
  'P2037', // Prisma: too many clients
  // What Prisma's driver makes of the same, which is all that a raw query says.
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
]);

const DISK_FULL = '53100';

// node-postgres and its pool give these without a code.
const UNAVAILABLE_MESSAGES = [
  /^Connection terminated/,
  /^timeout exceeded when trying to connect/,
  /^timeout expired/,
  /^Client has encountered a connection error/,
  /^Cannot use a pool after calling end/,
  /^Client was closed and is not queryable/,
];

/**
 * Fault('unavailable') if the error says that the database cannot be reached, cut us off, or has no room; any other error as it is.
 * A statement that was running may or may not have taken effect: repeat only what may be repeated.
 */
export function databaseFaultOf(error: unknown): unknown {
  if (isFault(error)) return error;
  if (codesOf(error).includes(DISK_FULL)) {
    return new Fault('unavailable', 'The disk of the database is full: free space there, or enlarge it.', {
      cause: error,
    });
  }
  if (!isDatabaseAway(error)) return error;
  return new Fault('unavailable', 'The database does not answer at the moment: try again in a few seconds.', {
    cause: error,
  });
}

/** True if the error, or one that it wraps, says that the database cannot be reached. */
export function isDatabaseAway(error: unknown): boolean {
  if (!types.isNativeError(error)) return false;
  if (codesOf(error).some((code) => UNAVAILABLE_CODES.has(code))) return true;
  if (UNAVAILABLE_MESSAGES.some((message) => message.test(error.message))) return true;
  if ('errors' in error && Array.isArray(error.errors) && error.errors.some(isDatabaseAway)) return true;
  return isDatabaseAway(error.cause);
}

/** The codes that an error carries: node-postgres' own, and those and the kinds that Prisma hides in `meta` and `cause`. */
export function codesOf(error: unknown): readonly string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { code, originalCode, kind, meta, driverAdapterError, cause } = error as Readonly<Record<string, unknown>>;
  const own = [code, originalCode, kind].filter((each) => typeof each === 'string');
  return [...own, ...[meta, driverAdapterError, cause].flatMap(codesOf)];
}
