import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sender } from '@vivarium/boot/config-mail';
import { composeMail } from './compose-mail.js';
import { type Mail, type Mailer, NotSent } from './mailer.js';

const MAILS_MAX = 1_000;
const OURS = /^\d{4}-\d\d-\d\dT[\w.-]+\.eml$/;

/** Writes mails into a folder that only its owner reads, and keeps the newest thousand. */
export class FolderMailer implements Mailer {
  readonly #folder: string;
  readonly #from: Sender;

  constructor(folder: string, from: Sender) {
    this.#folder = folder;
    this.#from = from;
  }

  async send(mail: Mail): Promise<void> {
    const bytes = await composeMail(this.#from, mail);
    // The same mail has the same name, so that one which is written again is still one. Names are in the order of time.
    const name = `${mail.date.toISOString().replaceAll(':', '-')}-${mail.id.replace(/[^\w.-]/g, '')}.eml`;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const part = join(this.#folder, `${name}.part`);
      await writeFile(part, bytes, { mode: 0o600 });
      await rename(part, join(this.#folder, name));
      await this.#keepNewest();
    } catch (error) {
      throw new NotSent(`the folder: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`, 'server');
    }
  }

  async #keepNewest(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => OURS.test(name)).sort();
    for (const name of names.slice(0, -MAILS_MAX)) await rm(join(this.#folder, name), { force: true });
  }
}
