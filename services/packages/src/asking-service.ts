import { Fault } from '@vivarium/fault/fault';
import type { Call } from '@vivarium/rpc/rpc';
import type { PackagesPorts } from './ports.js';

/** The service that calls, if it is one of these. Throws Fault('forbidden') for any other, and for people. */
export async function serviceAmong(
  { trust }: Pick<PackagesPorts, 'trust'>,
  call: Call,
  services: readonly string[],
): Promise<string> {
  const service = await trust.serviceOf(call);
  if (services.includes(service)) return service;
  throw new Fault('forbidden', `${call.subject} does not answer ${service}.`);
}
