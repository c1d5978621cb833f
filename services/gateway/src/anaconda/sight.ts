import type { IncomingMessage } from 'node:http';
import { hiddenChannelFault } from '@vivarium/access/admission';
import type { Caller } from '@vivarium/access/caller';
import { belongs } from '@vivarium/access/view';
import type { RolePorts } from '@vivarium/boot/ports';
import { Fault, isFault } from '@vivarium/fault/fault';
import { Access, type Channel, type Reader } from '../access.js';
import { readableView } from '../admitted.js';
import { arrivalOf } from '../arrival.js';
import { FactCache } from '../cache.js';
import { credentialOf } from '../credential.js';

/** Whether an API request may know that an account and its channel exist. Asked anew each time, as all of the API is. */
export class Sight {
  readonly #access: Access;
  readonly #overHttps: boolean;

  constructor(ports: RolePorts) {
    this.#overHttps = ports.config.publicUrl.startsWith('https:');
    const nowMs = (): number => performance.now();
    const cache = new FactCache({ isLeased: () => false, nowMs, maxEntries: 1_000, joinUnleasedMs: 0 });
    this.#access = new Access(ports, cache);
  }

  /**
   * The channel, if the caller may see anything of it. Hidden and missing are one answer: Fault('unauthenticated') for an
   * anonymous caller, Fault('not_found') for any other, because clients go on after a 404. Fault('forbidden') with its
   * reason for a token that is cut.
   */
  async channel(request: IncomingMessage, login: string): Promise<Channel> {
    return (await this.#reader(request, login)).channel;
  }

  /**
   * As `channel`, for what only those may know who see more than others: how often something changes tells of what is
   * hidden. Throws Fault('unauthenticated') for an anonymous caller too, Fault('forbidden') for others.
   */
  async channelFromWithin(request: IncomingMessage, login: string): Promise<Channel> {
    const { channel, admission, caller } = await this.#reader(request, login);
    const isWithin =
      admission.kind === 'view' &&
      (admission.view.everything ||
        channel.audiences.some((one) => one.visibility === 'private' && belongs(admission.view, one)));
    if (isWithin) return channel;
    if (caller.kind === 'anonymous') throw new Fault('unauthenticated', 'Send a token of somebody who publishes here.');
    throw new Fault('forbidden', `Only those who publish in ${login} are told when it changes.`);
  }

  /** What new packages of the channel are unless said otherwise, if the caller sees all of it; undefined for anybody else. */
  async defaultVisibility(request: IncomingMessage, login: string): Promise<string | undefined> {
    try {
      const { channel, admission } = await this.#reader(request, login);
      return admission.kind === 'view' && admission.view.everything ? channel.defaultVisibility : undefined;
    } catch (error) {
      // Less is told to a token that is cut off from the channel, or to a superuser who is a stranger there.
      if (isFault(error) && ['forbidden', 'not_found', 'unauthenticated'].includes(error.code)) return undefined;
      throw error;
    }
  }

  /** The id of the channel, if the caller whom identity named may know that it exists; undefined if not, or if it does not. */
  async channelIdFor(caller: Caller, login: string, address: string | undefined): Promise<string | undefined> {
    try {
      const reader = await this.#access.readerAs(caller, { channel: login, use: 'upload', address });
      return isHidden(reader, login) ? undefined : reader.channel.id;
    } catch (error) {
      if (isFault(error) && (error.code === 'forbidden' || error.code === 'unauthenticated')) return undefined;
      throw error;
    }
  }

  async #reader(request: IncomingMessage, login: string): Promise<Reader> {
    const { target, address } = arrivalOf(request);
    const { authorization, cookie } = request.headers;
    const shown = { pathToken: target.pathToken, authorization, cookie, overHttps: this.#overHttps };
    const credential = credentialOf(shown, 'api');
    let reader: Reader | undefined;
    try {
      // Uploaders look at the owner first, and their tokens may do no more than upload.
      reader = await this.#access.readerOf({ credential, channel: login, use: 'upload', address });
      readableView(reader);
      return reader;
    } catch (error) {
      if (!isFault(error) || error.code !== 'forbidden') throw error;
      if (reader !== undefined && !isHidden(reader, login)) throw error;
      throw new Fault('not_found', `There is no account "${login}".`);
    }
  }
}

/** True if the reader was refused because nothing of the channel is theirs to see, and not because a token is cut. */
function isHidden({ admission, caller }: Reader, login: string): boolean {
  return admission.kind === 'deny' && admission.reason === hiddenChannelFault(caller, login).message;
}
