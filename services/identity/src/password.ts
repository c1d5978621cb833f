import { availableParallelism } from 'node:os';
import { hash, verify } from '@node-rs/argon2';
import { Fault } from '@vivarium/fault/fault';

const LENGTH_MIN = 10;
const LENGTH_MAX = 256;
const WAITING_MAX = 64;

// A choice of the OWASP password storage cheat sheet for argon2id (19 MiB, two passes), with one pass more.
// Argon2id is what the library makes unless told otherwise.
const COST = { memoryCost: 19_456, timeCost: 3, parallelism: 1 } as const;

// Of a random password that nobody kept, at the cost above. An unknown login is verified against it, so that it takes
// as long as a wrong password.
const NOBODYS_HASH =
  '$argon2id$v=19$m=19456,t=3,p=1$Jf5+vq+qxnatmgBrEcYoHw$1NfvU9P7KcGX9laBBsDQ7YNxkYt8EjHatRcxIppdPeM';

/** Throws Fault('invalid') unless the password has 10 to 256 characters. The message does not repeat it. */
export function checkNewPassword(password: string): void {
  const length = [...password].length;
  if (length < LENGTH_MIN || length > LENGTH_MAX) {
    throw new Fault('invalid', `A password has ${LENGTH_MIN} to ${LENGTH_MAX} characters; this one has ${length}.`);
  }
}

/** An argon2id hash with its salt and cost, as a PHC string. Throws Fault('unavailable') when too many wait. */
export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(bytesOf(password), COST));
}

/**
 * True if the password belongs to the hash. Without a hash it is false, after the same work.
 * Throws Fault('unavailable') when too many wait.
 */
export async function isPasswordOf(password: string, storedHash: string | undefined): Promise<boolean> {
  // No stored password is longer, and the length is the asker's own: refusing early tells nothing.
  if ([...password].length > LENGTH_MAX) return false;
  const matches = await inTurn(() => verify(storedHash ?? NOBODYS_HASH, bytesOf(password)));
  return matches && storedHash !== undefined;
}

// One keyboard sends é as one character and another as two; both are the same password.
function bytesOf(password: string): Uint8Array {
  return Buffer.from(password.normalize('NFC'), 'utf8');
}

// A hash costs 19 MB and a core for tens of milliseconds: a crowd of guesses must not take the machine from everybody else.
const RUNNING_MAX = Math.max(1, Math.min(4, availableParallelism()));
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= RUNNING_MAX) {
    if (waiting.length >= WAITING_MAX) {
      throw new Fault(
        'unavailable',
        'Too many passwords are being checked at this moment. Try again in a few seconds.',
      );
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running++;
  try {
    return await work();
  } finally {
    // The place goes to the next in line without becoming free in between.
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}
