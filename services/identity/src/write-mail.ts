import { redactTokens } from '@vivarium/token/redact';
import type { Mail } from './mailer.js';
import { isMailable } from './person.js';

const SUBJECT_LENGTH_MAX = 120;

/** A message of the inbox, and the account that it is for. */
export interface Told {
  readonly id: string;
  readonly text: string;
  readonly createdAt: Date;
  readonly login: string;
  readonly email: string;
}

/**
 * The mail that says the same as a message. Names in it were chosen by people, so it is one line of printable text without
 * anything that looks like a token. Undefined for an address that no mail can be sent to.
 */
export function writeMail({ id, text, createdAt, login, email }: Told, publicUrl: string): Mail | undefined {
  if (!isMailable(email)) return undefined;
  const line = lineOf(text);
  const said = /^.*?[.!?](?= |$)/.exec(line)?.[0] ?? line;
  const subject = `[${new URL(publicUrl).host}] ${cut(said)}`;
  const lines = [
    `Hello ${login},`,
    '',
    line,
    '',
    `How to sign in, and to make and revoke tokens: ${publicUrl}/#token`,
    `This message is in your inbox, too (GET ${publicUrl}/api/inbox).`,
    '',
    '-- ',
    `Sent by the package server ${publicUrl} to the address of its account ${login}. Nobody reads answers.`,
    `It never asks for a password or a token: do not follow a link that does not begin with ${publicUrl}/ .`,
    `How to change the address of an account: ${publicUrl}/api/docs .`,
    '',
  ];
  return { id: `inbox.${createdAt.getTime()}.${id}`, to: email, subject, text: lines.join('\n'), date: createdAt };
}

function lineOf(text: string): string {
  return redactTokens(text)
    .toWellFormed()
    .replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
}

function cut(text: string): string {
  const letters = [...text];
  return letters.length <= SUBJECT_LENGTH_MAX ? text : `${letters.slice(0, SUBJECT_LENGTH_MAX - 1).join('')}…`;
}
