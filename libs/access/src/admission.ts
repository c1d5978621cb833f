import { Fault, type FaultCode } from '@vivarium/fault/fault';
import type { Audience, Visibility } from './audience.js';
import { addressOf, type Caller, callerName, isAbroad, tokenOf } from './caller.js';
import { isPython, routeCut, type Use } from './cut.js';
import { admitsAddress } from './restriction.js';
import type { Standing } from './standing.js';
import { belongs, isCut, strangerView, type View, viewInSubdir, viewOf, withoutSubdirs } from './view.js';

/** What a decision needs to know of a channel. */
export interface ChannelFacts {
  readonly id: string;
  readonly login: string;
  /** Account id of the user or organization whose channel it is. */
  readonly ownerId: string;
  readonly defaultVisibility: Visibility;
  /** Those present in the channel. */
  readonly audiences: readonly Audience[];
}

export interface ReaderFacts {
  readonly caller: Caller;
  readonly standing: Standing;
  readonly channel: ChannelFacts;
  readonly use: Use;
  /**
   * The label of the URL; absent is `main` in a repository. For an address without a label, as that of a Python file: the
   * labels that the file carries.
   */
  readonly label?: string | readonly string[] | undefined;
  readonly subdir?: string | undefined;
  /** Where the request comes from. */
  readonly address?: string | undefined;
}

export type Admission =
  /** `cut`: the token's globs or subdirs may leave something out of what its owner sees here. */
  | { readonly kind: 'view'; readonly view: View; readonly cut: boolean }
  /**
   * The answer to every index, and to every other address that is not public, existing or not. `admitsPublic`: a public
   * artifact or page of the channel is still served, as to a stranger.
   */
  | { readonly kind: 'deny'; readonly code: FaultCode; readonly reason: string; readonly admitsPublic: boolean };

/**
 * Whether the caller may read in the channel, and what. The one decision of every index, and the first of every artifact.
 * A token sees at least what a stranger sees; where its scopes, channels or labels keep back something that its owner may
 * read here, it is told so instead of being given less. Globs and subdirs cut silently, as part of the view.
 */
export function admitReader(facts: ReaderFacts): Admission {
  const { caller, standing, channel } = facts;
  const token = tokenOf(caller);
  const address = addressOf(facts.address, caller);
  if (token !== null && !admitsAddress(token.restrictions, address)) {
    // Loud even where anybody may read: like a wrong token, one in the wrong place is a mistake or a theft.
    return { kind: 'deny', code: 'forbidden', reason: `this token ${addressCut(address)}`, admitsPublic: false };
  }
  const whole = viewOf(caller, standing, channel.ownerId);
  const abroad = isAbroad(caller, channel.ownerId);
  const ask = { verb: 'read', use: facts.use, kind: 'channel', channelId: channel.id, label: facts.label } as const;
  const cut = token === null ? null : routeCut(token, ask);
  const isOpen = isChannelVisible(strangerView(), channel);
  const isMine = !abroad && (standing.owner || standing.member);
  if (cut !== null) {
    const losesPackages = channel.audiences.some((one) => one.visibility !== 'public' && belongs(whole, one));
    if (losesPackages || (!isOpen && (isMine || isChannelVisible(whole, channel)))) {
      return { kind: 'deny', code: 'forbidden', reason: `this token ${cut}`, admitsPublic: isOpen };
    }
  }
  if (cut === null ? !isMine && !isChannelVisible(whole, channel) : !isOpen) {
    const { code, message } = hiddenChannelFault(caller, channel.login);
    return { kind: 'deny', code, reason: message, admitsPublic: false };
  }
  return inRoute(cut === null ? whole : strangerView(), facts);
}

/**
 * The one answer for a channel that does not exist and for one of which the caller may see nothing. Never `not_found`:
 * pip and uv would go on to the next index, where somebody else may hold the name.
 */
export function hiddenChannelFault(caller: Caller, login: string): Fault {
  if (caller.kind === 'anonymous') {
    return new Fault(
      'unauthenticated',
      `channel "${login}" does not exist, or is not open to everybody; use a token: /t/<token>/${login} in the URL, or user __token__ with the token as its password`,
    );
  }
  const reader = caller.credential.kind === 'token' ? 'this token' : callerName(caller);
  return new Fault('forbidden', `channel "${login}" does not exist, or ${reader} may not read it`);
}

/** Why a token is refused at this address, as the end of a sentence. Its blocks are not told: it may be stolen. */
export function addressCut(address: string | undefined): string {
  return `may not be used from ${address === undefined ? 'an unknown address' : address}: its owner limited it to other addresses`;
}

/** True if whoever has this view, uncut, may know that the channel is there. */
export function isChannelVisible(view: View, channel: Pick<ChannelFacts, 'defaultVisibility' | 'audiences'>): boolean {
  return channel.defaultVisibility === 'public' || channel.audiences.some((audience) => belongs(view, audience));
}

function inRoute(view: View, { use, subdir, channel }: ReaderFacts): Admission {
  if (isPython(use)) {
    const plain = withoutSubdirs(view);
    return { kind: 'view', view: plain, cut: isCut(plain, channel.audiences) };
  }
  if (subdir === undefined) return { kind: 'view', view, cut: isCut(view, channel.audiences) };
  const inside = viewInSubdir(view, subdir);
  // A subdir that is left out shows what a stranger sees; the cut is then that of the view before.
  return { kind: 'view', view: inside, cut: isCut(inside === strangerView() ? view : inside, channel.audiences) };
}
