import { Fault } from '@vivarium/fault/fault';

const LOGIN = /^[a-z0-9][a-z0-9_-]{1,62}$/;

/** True for a login as it is stored: 2 to 63 of a-z 0-9 _ -, beginning with a letter or digit. */
export function isLogin(text: string): boolean {
  return LOGIN.test(text);
}

/** A login as people type it: folded to lower case, white space around it dropped. Not checked against the grammar. */
export function foldLogin(text: string): string {
  return text.trim().toLowerCase();
}

/**
 * The login of a new account. Reserved words are those that begin an address of ours, which the account's channel could
 * never have. Throws Fault('invalid') with the rule that the text breaks.
 */
export function parseNewLogin(text: string, reserved: ReadonlySet<string>): string {
  const login = foldLogin(text);
  if (!isLogin(login)) {
    throw new Fault(
      'invalid',
      `"${login.slice(0, 70)}" is no login: use 2 to 63 characters of a-z, 0-9, _ and -, the first a letter or a digit.`,
    );
  }
  if (reserved.has(login)) {
    throw new Fault('invalid', `The login ${login} is a word of this server's own addresses; choose another.`);
  }
  return login;
}
