import { Fault } from '@vivarium/fault/fault';

const EMAIL = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,189}$/u;
// What begins a name, a comment, a list or a second address in the headers of a mail.
const STRUCTURE = /[<>()[\],;:\\"]/;
const NAME_LENGTH_MAX = 200;

/** An address of the form `a@b`, in lower case. Only a message that arrives proves more. Throws Fault('invalid'). */
export function parseEmail(text: string): string {
  const email = text.trim().toLowerCase();
  if (!isMailable(email)) {
    throw new Fault('invalid', `"${email.slice(0, 80)}" is no e-mail address: it needs the form somebody@example.org.`);
  }
  return email;
}

/** True for what is one address, wherever it is put in a mail. */
export function isMailable(email: string): boolean {
  return EMAIL.test(email) && !STRUCTURE.test(email);
}

/** The name that people read. Throws Fault('invalid') over 200 characters or with control characters. */
export function parsePersonName(text: string): string {
  const name = text.trim();
  if (name.length > NAME_LENGTH_MAX || /\p{Cc}/u.test(name)) {
    throw new Fault('invalid', `A name has at most ${NAME_LENGTH_MAX} characters and no line breaks.`);
  }
  return name;
}
