import type { FaultCode } from '@vivarium/fault/fault';
import { addressCut, admitReader, type ChannelFacts } from './admission.js';
import type { Grant, Visibility } from './audience.js';
import { addressOf, type Caller, callerName, isAbroad, tokenOf } from './caller.js';
import { packageCut, type ResourceKind, routeCut, type Use, type Verb, wholeCut } from './cut.js';
import { admitsAddress } from './restriction.js';
import { type Right, rightOn, rightOnAll, type Standing } from './standing.js';

export interface Facts {
  /** What the caller's account is in the channel. */
  readonly standing: Standing;
  /** Audiences are needed to decide the reading of a channel or organization, and of nothing else. */
  readonly channel: Omit<ChannelFacts, 'audiences'> & Partial<Pick<ChannelFacts, 'audiences'>>;
  /** The package as it is. Absent: there is none, or the resource is none. */
  readonly package?: PackageFacts | undefined;
  /** The grants of the channel's packages, to decide whether a collaborator or group may write anything in it. */
  readonly grants?: readonly Grant[] | undefined;
}

export interface PackageFacts {
  readonly visibility: Visibility;
  readonly grants: readonly Grant[];
  /** Its names, as the kinds in question normalise them. The first is used in reasons. */
  readonly names: readonly string[];
}

/** What is asked for, and how. */
export interface Resource {
  readonly kind: ResourceKind;
  readonly use: Use;
  /** Of a package to be created; that of an existing one is a fact. */
  readonly names?: readonly string[] | undefined;
  readonly label?: string | readonly string[] | undefined;
  readonly subdir?: string | undefined;
  readonly address?: string | undefined;
}

/**
 * Every decision carries its reason. The reason of a denial is for those who administer the resource, and for the caller
 * unless the code is `not_found`: then the caller may not know that it exists, and the answer is the one for a missing
 * resource (on a route that would create it, the answer to `create`).
 */
export type Decision =
  | { readonly allow: true; readonly reason: string }
  | { readonly allow: false; readonly reason: string; readonly code: FaultCode };

/**
 * Decides anything: what the account may do by today's facts, cut by its token's scopes and restrictions.
 * A channel of which the caller may see nothing is found out by deciding `read` of the channel first.
 */
export function decide(caller: Caller, facts: Facts, verb: Verb, resource: Resource): Decision {
  const token = tokenOf(caller);
  const target = targetOf(facts, verb, resource);
  const address = addressOf(resource.address, caller);
  if (token !== null && !admitsAddress(token.restrictions, address)) {
    return deny('forbidden', `${tokenName(caller)} ${addressCut(address)}`);
  }
  if (verb === 'read' && (resource.kind === 'channel' || resource.kind === 'organization')) {
    return decideVisible(caller, facts, resource);
  }
  if (verb === 'read' && resource.kind === 'package' && facts.package?.visibility === 'public') {
    return { allow: true, reason: `${target} is public: anyone may read it` };
  }
  const through = throughOf(caller, facts, verb, resource);
  if (through === null) return refuse(caller, facts, verb, resource);
  const cut = token === null ? null : cutOf(caller, facts, verb, resource);
  const name = callerName(caller);
  if (cut !== null)
    return deny('forbidden', `${name} may ${MAY[verb]} ${target} ${through}, but ${tokenName(caller)} ${cut}`);
  return { allow: true, reason: `${name} ${MAY[verb]}s ${target} ${through}` };
}

/** Whether the channel (or its organization) exists for this caller, in the words of the decision for indexes. */
function decideVisible(caller: Caller, facts: Facts, resource: Resource): Decision {
  const channel = { ...facts.channel, audiences: facts.channel.audiences ?? [] };
  const { use, label, address } = resource;
  const admission = admitReader({ caller, standing: facts.standing, channel, use, label, address });
  if (admission.kind === 'deny') return deny(admission.code, admission.reason);
  return { allow: true, reason: `${callerName(caller)} may see something in ${channel.login}` };
}

/** Where the account's own right comes from, tokens left aside: `as an owner`, `through group devs`; null if it has none. */
function throughOf(caller: Caller, facts: Facts, verb: Verb, resource: Resource): string | null {
  if (caller.kind === 'anonymous' || isAbroad(caller, facts.channel.ownerId)) return null;
  const right = rightTo(caller, facts, verb, resource);
  if (right !== null && RANK[right.permission] >= needOf(verb, resource.kind)) return right.through;
  if (verb !== 'read') return null;
  if (resource.kind === 'groups' && facts.standing.member) return 'as a member';
  if (resource.kind !== 'package' || facts.package?.visibility !== 'authenticated') return null;
  return 'because it is open to everybody who is signed in';
}

function rightTo(caller: Caller, facts: Facts, verb: Verb, resource: Resource): Right | null {
  if (caller.kind === 'anonymous' || isAbroad(caller, facts.channel.ownerId)) return null;
  // Creating is a right on all packages, not on one: a grant on a deleted namesake gives nothing.
  if (verb === 'create') return rightOnAll(facts.standing);
  if (resource.kind === 'package') return rightOn(facts.package?.grants ?? [], facts.standing, caller);
  if (resource.kind === 'channel' && verb === 'write') return rightOn(facts.grants ?? [], facts.standing, caller);
  return rightOnAll(facts.standing);
}

const RANK = { read: 1, write: 2, admin: 3, own: 4 } as const;

function needOf(verb: Verb, kind: ResourceKind): number {
  if (kind === 'groups' || kind === 'organization' || kind === 'tokens' || kind === 'audit') return RANK.own;
  return verb === 'create' ? RANK.write : RANK[verb];
}

/** The first thing about the token that stands in the way, as the end of a sentence, or null. */
function cutOf(caller: Caller, facts: Facts, verb: Verb, resource: Resource): string | null {
  const token = tokenOf(caller);
  if (token === null) return null;
  const { kind, use, label, subdir } = resource;
  const ask = { verb, use, kind, channelId: facts.channel.id, label };
  const names = namesOf(facts, resource);
  return (
    routeCut(token, ask) ?? (kind === 'package' ? packageCut(token, { ...ask, names, subdir }) : wholeCut(token, ask))
  );
}

function refuse(caller: Caller, facts: Facts, verb: Verb, resource: Resource): Decision {
  const target = targetOf(facts, verb, resource);
  const start = `${callerName(caller)} may not ${MAY[verb]} ${target}`;
  const isHidden = resource.kind === 'package' && facts.package !== undefined && !isReadable(caller, facts, resource);
  if (caller.kind === 'anonymous') {
    return deny(verb === 'read' && isHidden ? 'not_found' : 'unauthenticated', `${start}: sign in, or use a token`);
  }
  const code = isHidden ? 'not_found' : 'forbidden';
  if (isAbroad(caller, facts.channel.ownerId)) {
    return deny(code, `${start}: the token of an organization opens the channel of that organization only`);
  }
  const why = lackOf(rightTo(caller, facts, verb, resource), caller.login, verb, resource.kind);
  // Said in full, because it surprises: the platform's administrators are strangers in other people's channels.
  const more = caller.superuser ? '; a superuser manages accounts and needs a grant here like everybody' : '';
  return deny(code, `${start}: ${why}${more}`);
}

function lackOf(right: Right | null, login: string, verb: Verb, kind: ResourceKind): string {
  if (kind !== 'channel' && kind !== 'package') return 'not an owner';
  if (right !== null) return `${right.through}, ${login} has ${right.permission} only`;
  if (kind === 'channel' || verb === 'create') return 'not an owner, nor in a group that may';
  return 'not an owner, in no group that covers it, and no collaborator';
}

function isReadable(caller: Caller, facts: Facts, resource: Resource): boolean {
  return facts.package?.visibility === 'public' || throughOf(caller, facts, 'read', resource) !== null;
}

function deny(code: FaultCode, reason: string): Decision {
  return { allow: false, code, reason };
}

function namesOf(facts: Facts, resource: Resource): readonly string[] {
  return resource.names ?? facts.package?.names ?? [];
}

function targetOf(facts: Facts, verb: Verb, resource: Resource): string {
  const { login } = facts.channel;
  switch (resource.kind) {
    case 'package':
      return `${login}/${namesOf(facts, resource)[0] ?? '*'}`;
    case 'channel':
      return verb === 'create' ? `packages in ${login}` : login;
    case 'organization':
      return `the organization ${login}`;
    case 'groups':
    case 'tokens':
      return `the ${resource.kind} of ${login}`;
    case 'audit':
      return `the audit trail of ${login}`;
  }
}

const MAY: Record<Verb, string> = { create: 'create', read: 'read', write: 'write', admin: 'administer', own: 'own' };

function tokenName(caller: Caller): string {
  const name = tokenOf(caller)?.name;
  return name === undefined || name === '' ? 'this token' : `the token ${name}`;
}
