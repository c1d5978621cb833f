import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StepName } from '@vivarium/boot/step';
import type { Product } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { formUpload } from './form-upload.js';
import { type Publisher, type Ticket, UploadRefused } from './publisher.js';
import { pythonOk } from './python.js';
import { type Published, shownIn } from './showing.js';

/** Steps that stand still before a commit: those who come to them have sent nothing else. */
export function isWhileReceiving(step: StepName): boolean {
  return step.startsWith('receive-');
}

/** A publisher with a channel of its own, and its token. */
export interface Owner {
  readonly publisher: Publisher;
  readonly token: string;
}

/** One file on its way into one channel, whose publisher may lose the connection at any moment. */
export abstract class CrashUpload {
  /** True once the last request of the upload was answered with 200. */
  isAcknowledged = false;

  constructor(
    readonly product: Product,
    readonly owner: Owner,
    readonly file: Published,
  ) {}

  get channel(): string {
    return this.owner.publisher.login;
  }

  /** What comes before the requests in which processes die. */
  abstract prepare(): Promise<void>;
  /** Whether it passes this step. */
  abstract passes(step: StepName): boolean;
  /** The requests in which processes die. Resolves however they end; throws for a refusal that a crash does not excuse. */
  abstract run(): Promise<void>;
  /** What a publisher does who was not answered. Throws an Error if that does not succeed. */
  abstract repeat(): Promise<void>;

  /** Where clients find the file: see `shownIn`. */
  async shown(): Promise<string> {
    await this.untilIndexed();
    return shownIn({ product: this.product, channel: this.channel }, this.file);
  }

  async untilIndexed(): Promise<void> {
    const path = `/channels/${this.channel}/generation?wait=20000`;
    for (let tries = 0; tries < 4; tries++) {
      const { json } = await this.owner.publisher.expectCall(200, 'GET', path);
      if (json<{ readable: boolean }>().readable) return;
    }
    throw new Error(`the index of ${this.channel} is not readable`);
  }
}

/** Stage, bytes, commit. Who was not answered sends the same requests again. */
export class CommitUpload extends CrashUpload {
  readonly #step: StepName;
  #ticket: Ticket | undefined;

  constructor(product: Product, owner: Owner, file: Published, step: StepName) {
    super(product, owner, file);
    this.#step = step;
  }

  passes(): boolean {
    return true;
  }

  async prepare(): Promise<void> {
    const { publisher } = this.owner;
    await publisher.register(this.file);
    this.#ticket = await publisher.stage(this.file);
    if (!isWhileReceiving(this.#step)) await publisher.send(this.#ticket, this.file);
    await this.untilIndexed();
  }

  run(): Promise<void> {
    return excused(async () => {
      if (isWhileReceiving(this.#step)) await this.owner.publisher.send(this.#given, this.file);
      await this.owner.publisher.commit(this.file, this.#given);
      this.isAcknowledged = true;
    });
  }

  async repeat(): Promise<void> {
    const { publisher } = this.owner;
    if (isWhileReceiving(this.#step)) {
      const { status, text } = await publisher.post(this.#given, this.file.basename, this.file.bytes);
      // The bytes were noted, and the answer was lost: the address takes them once.
      if (status !== 201 && status !== 403) throw new UploadRefused('POST of the bytes', status, text());
    }
    const [first, second] = [await this.#commit(), await this.#commit()];
    if (first !== second) throw new Error(`a commit answered ${first}, and then ${second}`);
  }

  async #commit(): Promise<string> {
    const answer = await this.owner.publisher.commit(this.file, this.#given);
    // Neither is a part of what was uploaded: readers of the file are counted meanwhile.
    const { index: _, ndownloads: __, ...told } = answer.json<{ index: string; ndownloads: number }>();
    return JSON.stringify(told);
  }

  get #given(): Ticket {
    if (this.#ticket === undefined) throw new Error('nothing was staged');
    return this.#ticket;
  }
}

/** One request by form. Who was not answered sends it again. */
export class FormUpload extends CrashUpload {
  passes(step: StepName): boolean {
    return !isWhileReceiving(step);
  }

  async prepare(): Promise<void> {
    await this.owner.publisher.register(this.file);
    await this.untilIndexed();
  }

  run(): Promise<void> {
    return excused(async () => {
      await this.#send();
      this.isAcknowledged = true;
    });
  }

  async repeat(): Promise<void> {
    await this.#send();
    await this.#send();
  }

  async #send(): Promise<void> {
    const form = formUpload({ ...this.file, filename: this.file.basename }, this.owner.token);
    const { status, text } = await ask(`${this.product.pypi}/${this.channel}/legacy/`, { method: 'POST', ...form });
    if (status !== 200) throw new UploadRefused('POST of the form', status, text());
  }
}

/** As `CommitUpload`, but who was not answered begins anew with `anaconda upload --skip-existing`. */
export class SkipExistingUpload extends CommitUpload {
  /** Runs the real client in this home folder; else the same requests are sent. */
  readonly #home: string | undefined;

  constructor(product: Product, owner: Owner, file: Published, step: StepName, home: string | undefined) {
    super(product, owner, file, step);
    this.#home = home;
  }

  override async repeat(): Promise<void> {
    const { publisher, token } = this.owner;
    const { name, version, basename, bytes } = this.file;
    if (this.#home === undefined) {
      const there = await publisher.call('GET', `/dist/${this.channel}/${name}/${version}/${basename}`);
      if (there.status !== 200) await publisher.upload(this.file);
      return;
    }
    const path = join(this.#home, basename.split('/').at(-1) ?? '');
    writeFileSync(path, bytes);
    const parameters = ['-t', token, 'upload', '--skip-existing', '-u', this.channel, path];
    await pythonOk('anaconda', parameters, { home: this.#home });
  }
}

/** New files for one step, each on its way into the channel that is its own; two share the last one. */
export function uploadsAt(
  step: StepName,
  product: Product,
  owners: Readonly<Record<'conda' | 'wheel' | 'form' | 'both', Owner>>,
  home: string | undefined,
): readonly CrashUpload[] {
  const conda = (name: string) => condaPackage({ name: `${name}-${step}`, version: '1.0' });
  const python = (name: string) => wheel({ name: `${name}-${step}`, version: '1.0' });
  return [
    new CommitUpload(product, owners.conda, conda('again'), step),
    new CommitUpload(product, owners.wheel, python('again'), step),
    new FormUpload(product, owners.form, python('form')),
    new SkipExistingUpload(product, owners.both, conda('skip'), step, home),
    new SkipExistingUpload(product, owners.both, python('skip-py'), step, home),
  ].filter((upload) => upload.passes(step));
}

/** A user with a token. */
export async function ownerNamed(admin: Publisher, login: string): Promise<Owner> {
  const publisher = await admin.makeUser(login);
  return { publisher, token: await publisher.makeToken({ name: `uploads ${randomBytes(4).toString('hex')}` }) };
}

/** A connection that breaks, or an answer that the other side is away, is what a crash looks like from outside. */
async function excused(requests: () => Promise<void>): Promise<void> {
  try {
    await requests();
  } catch (error) {
    if (error instanceof UploadRefused && error.status < 500) throw error;
  }
}
