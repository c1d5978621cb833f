import { Fault } from '@vivarium/fault/fault';

const LENGTH_MAX = 128;

/** The name of a token as it is stored. Throws Fault('invalid') for one that is empty, long or not printable. */
export function parseTokenName(text: string): string {
  const name = text.trim();
  if (isTokenName(name)) return name;
  throw new Fault('invalid', `a token needs a name of 1 to ${LENGTH_MAX} printable characters; give one with "--name"`);
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
