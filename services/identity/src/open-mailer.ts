import type { MailConfig } from '@vivarium/boot/config-mail';
import { FolderMailer } from './folder-mailer.js';
import type { Mailer } from './mailer.js';
import { SmtpMailer } from './smtp-mailer.js';

/** A server if one is configured, else the folder. Nothing is connected before there is a mail. */
export function openMailer({ smtp, from }: MailConfig, folder: string): Mailer {
  return smtp === undefined ? new FolderMailer(folder, from) : new SmtpMailer({ server: smtp, from });
}
