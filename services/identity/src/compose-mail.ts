import type { Sender } from '@vivarium/boot/config-mail';
import MailComposer from 'nodemailer/lib/mail-composer';
import type { Mail } from './mailer.js';

/** The bytes of a mail, headers encoded and folded: text for people, and nothing that answers it by itself. */
export function composeMail(from: Sender, { id, to, subject, text, date }: Mail): Promise<Buffer> {
  const composer = new MailComposer({
    from,
    // As an object, so that no address is read out of it.
    to: { name: '', address: to },
    subject,
    text,
    date,
    messageId: `<${id}@${from.address.split('@')[1]}>`,
    headers: { 'Auto-Submitted': 'auto-generated' },
    disableFileAccess: true,
    disableUrlAccess: true,
    newline: '\r\n',
  });
  return composer.compile().build();
}
