import { type Admission, admitReader, hiddenChannelFault } from '@vivarium/access/admission';
import { ANONYMOUS, type Caller } from '@vivarium/access/caller';
import { STRANGER_STANDING, type Standing } from '@vivarium/access/standing';
import { sees, strangerView, type View } from '@vivarium/access/view';
import { Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Fault } from '@vivarium/fault/fault';
import { type Call, clientOf } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import { standingFromProto } from '@vivarium/trust/messages';
import { type ChannelRow, findChannel } from './channel-row.js';
import { namesOf, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';

type AskPorts = Pick<PackagesPorts, 'bus' | 'trust' | 'pool'>;

/** Who acts in which channel, and what they are there. */
export interface Actor {
  readonly caller: Caller;
  /** The caller as identity described it; undefined for anybody. */
  readonly message: CallerMessage | undefined;
  readonly channel: ChannelRow;
  readonly standing: Standing;
}

/** An actor, and what of the channel is there for it. */
export interface Reader extends Actor {
  readonly admission: Admission;
}

/**
 * Who calls, in the channel of this login. Throws the one fault for a channel that does not exist and for one of which the
 * caller may see nothing, and the refusal of a token that is cut off from all of it.
 */
export async function readerIn(ports: AskPorts, call: Call, login: string, use: 'api' | 'upload'): Promise<Reader> {
  return admitted(await actorIn(ports, call, login), use);
}

/**
 * Who calls, in the channel of this login, whether or not the caller may know of it: before anything is told, `admitted`
 * or a right that only an owner has must say so. Throws the fault for a channel that does not exist.
 */
export async function actorIn(ports: AskPorts, call: Call, login: string): Promise<Actor> {
  const message = await ports.trust.callerMessageOf(call);
  const caller = message === undefined ? ANONYMOUS : callerFromProto(message);
  const name = login.toLowerCase();
  const channel = await findChannel(ports, name);
  if (channel === undefined) {
    // At the cost of a hidden one: what one is there is asked for all the same.
    await standingOf(ports, caller, { id: `no channel ${name.slice(0, 70)}`, kind: 'user' });
    throw hiddenChannel(caller, name);
  }
  return { caller, message, channel, standing: await standingOf(ports, caller, channel) };
}

/** The actor with what of the channel is there for it. Throws as `readerIn`. */
export function admitted(actor: Actor, use: 'api' | 'upload'): Reader {
  const { caller, channel, standing } = actor;
  const admission = admitReader({ caller, standing, channel: { ...channel, ownerId: channel.id }, use });
  if (admission.kind === 'deny' && !admission.admitsPublic) {
    if (admission.reason === hiddenChannelFault(caller, channel.login).message) {
      throw hiddenChannel(caller, channel.login);
    }
    throw new Fault(admission.code, admission.reason);
  }
  return { ...actor, admission };
}

/**
 * The actor as identity and authz know it now: a token that was revoked a moment ago acts no more.
 * Throws Fault('unauthenticated') when its credential does not count any more.
 */
export async function actorToday(
  ports: Pick<PackagesPorts, 'bus' | 'trust'>,
  message: CallerMessage | undefined,
  channel: ChannelRow,
): Promise<Actor> {
  if (message === undefined) return { caller: ANONYMOUS, message, channel, standing: STRANGER_STANDING };
  const assertion = await ports.trust.assertionFor('identity');
  const [today, standing] = await Promise.all([
    clientOf(Callers, ports.bus, { assertion }).recheck({ caller: message }),
    standingOf(ports, callerFromProto(message), channel),
  ]);
  return { caller: callerFromProto(today.caller), message: today.caller, channel, standing };
}

/** What the actor sees of the channel. */
export function viewOfReader({ admission }: Reader): View {
  return admission.kind === 'view' ? admission.view : strangerView();
}

/** True if the package is there for the reader. A package with two names is seen by a token that admits one of them. */
export function isReadable(reader: Reader, row: PackageRow): boolean {
  const view = viewOfReader(reader);
  return namesOf(row).some((name) => sees(view, { audience: row.audience, name }));
}

/** The package, if it is there for the reader. Throws the one fault for hidden and missing ones. */
export function readablePackage(reader: Reader, row: PackageRow | undefined, name: string): PackageRow {
  if (row !== undefined && isReadable(reader, row)) return row;
  const { admission, channel } = reader;
  // A token that is cut off here is told so at every address that is not public, existing or not.
  if (admission.kind === 'deny') throw new Fault(admission.code, admission.reason);
  throw missingPackage(channel.login, name);
}

export function missingPackage(login: string, name: string): Fault {
  return new Fault('not_found', `package "${login}/${name.slice(0, 100)}" does not exist`);
}

async function standingOf(
  ports: Pick<PackagesPorts, 'bus' | 'trust'>,
  caller: Caller,
  channel: Pick<ChannelRow, 'id' | 'kind'>,
): Promise<Standing> {
  if (caller.kind === 'anonymous') return STRANGER_STANDING;
  const { accountId, accountKind } = caller;
  const assertion = await ports.trust.assertionFor('authz');
  const question = { accountId, accountKind, channelId: channel.id, channelKind: channel.kind };
  return standingFromProto((await clientOf(Views, ports.bus, { assertion }).viewOf(question)).standing);
}

// On the API clients need "not found" to go on, where an index must never say it.
function hiddenChannel(caller: Caller, login: string): Fault {
  if (caller.kind === 'anonymous') return hiddenChannelFault(caller, login);
  return new Fault('not_found', `channel "${login}" does not exist`);
}
