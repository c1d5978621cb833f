import { Fault } from '@vivarium/fault/fault';

const LENGTH_MAX = 128;

/**
 * The name of a token as it is stored. Throws Fault('invalid') for one that is empty, long or not printable, and for one by
 * which clients would remove another token, since they write names into addresses as they are.
 */
export function parseTokenName(text: string): string {
  const name = text.trim();
  if (!isTokenName(name)) {
    throw new Fault(
      'invalid',
      `a token needs a name of 1 to ${LENGTH_MAX} printable characters; give one with "--name"`,
    );
  }
  if (!/[?#%]|\/$/.test(name) && !name.split('/').some((part) => part === '.' || part === '..')) return name;
  throw new Fault(
    'invalid',
    `"${name}" cannot name a token, since removing it by that name would remove another; leave out ?, #, %, a slash at the end, and "." or ".." between slashes`,
  );
}

/** True for what a token can be named. */
export function isTokenName(name: string): boolean {
  return name !== '' && name.length <= LENGTH_MAX && !/\p{C}/u.test(name);
}

export function nameInUse(owner: string, name: string): Fault {
  return new Fault(
    'conflict',
    `${owner} has a token named "${name}" already; remove it with "anaconda auth --remove", or choose another name`,
  );
}
