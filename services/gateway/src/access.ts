import { type Admission, admitReader, type ChannelFacts, hiddenChannelFault } from '@vivarium/access/admission';
import { isVisibility } from '@vivarium/access/audience';
import { ANONYMOUS, type Caller, tokenOf } from '@vivarium/access/caller';
import type { Use } from '@vivarium/access/cut';
import { STRANGER_STANDING, type Standing } from '@vivarium/access/standing';
import type { RolePorts } from '@vivarium/boot/ports';
import { Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import { audienceFromProto, standingFromProto, versionsFromProto } from '@vivarium/trust/messages';
import type { Fact, FactCache, Query } from './cache.js';
import type { Credential } from './credential.js';
import { EXPIRY_WARNING_MS, type Head, warnOfExpiry } from './expiry-warning.js';
import type { Floors } from './floor.js';
import { sentenceOf } from './sentence.js';

export interface Channel extends ChannelFacts {
  readonly kind: string;
  readonly incarnation: string;
  readonly generation: number;
  readonly floor: number;
}

interface KnownCaller {
  readonly caller: Caller;
  /** Ms since 1970; 0 = never. */
  readonly expiresAtMs: number;
  readonly limitedUses: boolean;
}

/** Who reads, in which channel, and what of it. */
export interface Reader {
  readonly caller: Caller;
  readonly channel: Channel;
  readonly admission: Admission;
  /** Set for a token with a limited number of uses. */
  readonly limitedTokenId: string | undefined;
}

/** What somebody wants to read. */
export interface Where {
  readonly channel: string;
  readonly use: Use;
  readonly label?: string | undefined;
  readonly subdir?: string | undefined;
  readonly address: string | undefined;
  /** Of the answer, for what is to be said of the credential. */
  readonly head?: Head | undefined;
}

export interface Ask extends Where {
  readonly credential: Credential;
}

const ANYONE: KnownCaller = { caller: ANONYMOUS, expiresAtMs: 0, limitedUses: false };
// Not announced: when a token was last used is written as often as we ask about it.
const CALLER_AGE_MS = 60_000;

/** Who is asking and what they may read, from memory where a lease allows it. */
export class Access {
  readonly #ports: RolePorts;
  readonly #cache: FactCache;
  readonly #strangers: Pick<Floors, 'get'>;
  readonly #callers: ClientOf<typeof Callers>;
  readonly #views: ClientOf<typeof Views>;
  readonly #channels: ClientOf<typeof Channels>;

  /** `strangers` is where they are answered from; as everybody unless given. */
  constructor(ports: RolePorts, cache: FactCache, strangers: Pick<Floors, 'get'> = cache) {
    this.#ports = ports;
    this.#cache = cache;
    this.#strangers = strangers;
    this.#callers = clientOf(Callers, ports.bus);
    this.#views = clientOf(Views, ports.bus);
    this.#channels = clientOf(Channels, ports.bus);
  }

  /**
   * Admits a reader, at once if all facts are known. Throws Fault('unauthenticated') for a credential that is not good and for a
   * hidden channel without one, Fault('forbidden') for a hidden channel with one. A denial with a reason is in the admission.
   */
  readerOf(ask: Ask): Reader | Promise<Reader> {
    const known = this.#callerOf(ask.credential, ask.address);
    const channel = this.#channelOf(ask.channel, ask.credential.kind === 'none');
    if (known instanceof Promise || channel instanceof Promise) return this.#readerLater(ask, known, channel);
    return this.#readerIn(ask, known, channel);
  }

  /** As `readerOf`, for a caller whom identity has named already. */
  readerAs(caller: Caller, ask: Where): Promise<Reader> {
    const known = { caller, expiresAtMs: 0, limitedUses: false };
    return this.#readerLater(ask, known, this.#channelOf(ask.channel, caller.kind === 'anonymous'));
  }

  async #readerLater(
    ask: Where,
    known: KnownCaller | Promise<KnownCaller>,
    channel: Channel | undefined | Promise<Channel | undefined>,
  ): Promise<Reader> {
    // Who asks comes first: a bad token must not learn whether the channel exists.
    const [who, where] = await Promise.allSettled([known, channel]);
    if (who.status === 'rejected') throw who.reason;
    if (where.status === 'rejected') throw where.reason;
    return this.#readerIn(ask, who.value, where.value);
  }

  #readerIn(ask: Where, known: KnownCaller, channel: Channel | undefined): Reader | Promise<Reader> {
    const nowMs = this.#ports.clock();
    if (known.expiresAtMs !== 0 && known.expiresAtMs - nowMs <= EXPIRY_WARNING_MS) heedExpiry(ask, known, nowMs);
    if (channel === undefined) return this.#refuseMissing(known.caller, ask.channel);
    const standing = this.#standingOf(known.caller, channel);
    if (standing instanceof Promise) return standing.then((found) => readerFrom(ask, known, channel, found));
    return readerFrom(ask, known, channel, standing);
  }

  /** At the cost of a hidden one: what one is there is asked for all the same. */
  #refuseMissing(caller: Caller, login: string): Promise<Reader> {
    const nowhere = { id: `no channel ${login}`, kind: 'user' };
    const standing = this.#standingOf(caller, nowhere, () => true);
    if (!(standing instanceof Promise)) throw missingChannel(caller, login);
    return standing.then(() => {
      throw missingChannel(caller, login);
    });
  }

  #callerOf(credential: Credential, address: string | undefined): KnownCaller | Promise<KnownCaller> {
    if (credential.kind === 'none') return ANYONE;
    if (credential.kind === 'password' || credential.kind === 'browser') {
      throw new Fault('unauthenticated', 'Account passwords are not accepted here.');
    }
    const known = this.#cache.get<KnownCaller>({
      key: `caller ${credential.kind} ${credential.sha256}`,
      // The token of an organization rests on the standing of its maker too.
      services: ['identity', 'authz'],
      // Its end may come with any request to any gateway.
      isKept: ({ limitedUses }) => !limitedUses,
      maxAgeMs: CALLER_AGE_MS,
      load: () => this.#whoIs(credential, address),
    });
    if (this.#ports.config.badToken === 'loud' || !(known instanceof Promise)) return known;
    return known.catch((error: unknown) => {
      if (isFault(error) && error.code === 'unauthenticated') return ANYONE;
      throw error;
    });
  }

  async #whoIs(
    credential: Extract<Credential, { kind: 'token' | 'session' }>,
    address: string | undefined,
  ): Promise<Fact<KnownCaller>> {
    const digest = Buffer.from(credential.sha256, 'hex');
    const answer = await this.#callers.whoIs({
      credential:
        credential.kind === 'token' ? { case: 'tokenSha256', value: digest } : { case: 'sessionSha256', value: digest },
      address: address ?? '',
    });
    // Remembered for requests from elsewhere: the address is asked with each of them.
    const caller = callerFromProto(answer.caller && { ...answer.caller, address: '' });
    const expiresAtMs = Number(answer.caller?.expiresAtMs ?? 0n);
    const limitedUses = answer.caller?.limitedUses ?? false;
    return { value: { caller, expiresAtMs, limitedUses }, versions: versionsFromProto(answer.versions) };
  }

  #channelOf(login: string, forStranger: boolean): Channel | undefined | Promise<Channel | undefined> {
    const query: Query<Channel | undefined> = {
      key: `channel ${login}`,
      services: ['packages', 'identity'],
      load: () => this.#findChannel(login),
      isAbsent: (channel) => channel === undefined,
    };
    return forStranger ? this.#strangers.get(query, (channel) => channel) : this.#cache.get(query);
  }

  async #findChannel(login: string): Promise<Fact<Channel | undefined>> {
    try {
      const assertion = await this.#ports.trust.assertionFor('packages');
      const { channel, versions } = await this.#channels.find({ login }, { assertion });
      // It was closed, for ever.
      if (channel === undefined && versions.length > 0) {
        return { value: undefined, versions: versionsFromProto(versions) };
      }
      if (channel === undefined || !isVisibility(channel.defaultVisibility)) {
        throw new Fault('internal', 'Something went wrong on our side.', {
          cause: new Error('a channel without facts'),
        });
      }
      const value: Channel = {
        id: channel.id,
        login: channel.login,
        // A channel has the id of the account whose it is.
        ownerId: channel.id,
        kind: channel.kind,
        defaultVisibility: channel.defaultVisibility,
        incarnation: channel.incarnation,
        generation: Number(channel.generation),
        floor: Number(channel.floor),
        audiences: channel.audiences.map(audienceFromProto),
      };
      return { value, versions: versionsFromProto(versions) };
    } catch (error) {
      // Identity announces a new login under this tag.
      if (isFault(error) && error.code === 'not_found') {
        return { value: undefined, versions: [{ tag: `login:${login}`, version: 0 }] };
      }
      throw error;
    }
  }

  #standingOf(
    caller: Caller,
    channel: Pick<Channel, 'id' | 'kind'>,
    isAbsent = () => false,
  ): Standing | Promise<Standing> {
    if (caller.kind === 'anonymous') return STRANGER_STANDING;
    const { accountId, accountKind } = caller;
    return this.#cache.get<Standing>({
      key: `standing ${accountId} ${channel.id}`,
      services: ['authz'],
      isAbsent,
      load: async () => {
        const assertion = await this.#ports.trust.assertionFor('authz');
        const request = { accountId, accountKind, channelId: channel.id, channelKind: channel.kind };
        const { standing, versions } = await this.#views.viewOf(request, { assertion });
        return { value: standingFromProto(standing), versions: versionsFromProto(versions) };
      },
    });
  }
}

function readerFrom(ask: Where, known: KnownCaller, channel: Channel, standing: Standing): Reader {
  const { caller } = known;
  const { use, label, subdir, address } = ask;
  const admission = admitReader({ caller, standing, channel, use, label, subdir, address });
  const limitedTokenId = known.limitedUses && caller.kind === 'account' ? caller.credential.id : undefined;
  return { caller, channel, admission, limitedTokenId };
}

/** In the very words in which a hidden one is refused. */
function missingChannel(caller: Caller, login: string): Fault {
  const { code, message } = hiddenChannelFault(caller, login);
  return new Fault(code, sentenceOf(message));
}

/** Throws Fault('unauthenticated') for a credential that has ended; warns of a token that will soon. */
function heedExpiry({ head }: Where, { caller, expiresAtMs }: KnownCaller, nowMs: number): void {
  if (expiresAtMs <= nowMs) throw expired(expiresAtMs);
  const token = tokenOf(caller);
  if (token !== null) warnOfExpiry(head, { name: token.name ?? '', expiresAtMs }, nowMs);
}

function expired(expiresAtMs: number): Fault {
  const day = new Date(expiresAtMs).toISOString().slice(0, 10);
  return new Fault(
    'unauthenticated',
    `This token expired on ${day}. Make a new one with "anaconda auth --create" or on the web page.`,
  );
}
