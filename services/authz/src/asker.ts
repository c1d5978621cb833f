import type { AccountCaller } from '@vivarium/access/caller';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Fault } from '@vivarium/fault/fault';
import { type Call, clientOf } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import type { AuthzPorts } from './ports.js';

/** Somebody who asks and said who it is. */
export interface Asker {
  /** As identity described it. */
  readonly message: CallerMessage;
  readonly caller: AccountCaller;
}

/** Who calls, as signed some seconds ago at most; undefined for anybody. */
export async function askerOf({ trust }: Pick<AuthzPorts, 'trust'>, call: Call): Promise<Asker | undefined> {
  const message = await trust.callerMessageOf(call);
  return message === undefined ? undefined : askerFrom(message);
}

/** Throws Fault('unauthenticated') for anybody. */
export async function needAsker(ports: Pick<AuthzPorts, 'trust'>, call: Call): Promise<Asker> {
  const asker = await askerOf(ports, call);
  if (asker === undefined) throw nobodySignedIn();
  return asker;
}

/**
 * Who calls, as identity knows it now: for changes, which no revoked credential may make. Asked before the transaction:
 * identity asks us in turn about the makers of organizations' tokens.
 */
export async function askerToday(ports: Pick<AuthzPorts, 'trust' | 'bus'>, call: Call): Promise<Asker> {
  const { message } = await needAsker(ports, call);
  const assertion = await ports.trust.assertionFor('identity');
  const { caller } = await clientOf(Callers, ports.bus, { assertion }).recheck({ caller: message });
  if (caller === undefined) throw nobodySignedIn();
  return askerFrom(caller);
}

function askerFrom(message: CallerMessage): Asker {
  const caller = callerFromProto(message);
  if (caller.kind === 'anonymous') throw nobodySignedIn();
  return { message, caller };
}

function nobodySignedIn(): Fault {
  return new Fault('unauthenticated', 'Nobody is signed in; sign in, or send a token.');
}
