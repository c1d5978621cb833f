import { setTimeout as pause } from 'node:timers/promises';
import type { FactVersion as FactVersionMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { versionsFromProto } from '@vivarium/trust/messages';
import type { Reader } from './access.js';
import type { Floors } from './floor.js';

interface HeadAnswer {
  readonly generation: bigint;
  readonly manifestKey: string;
  readonly versions: readonly FactVersionMessage[];
}

const FLOOR_WAIT_MS = 2_000;
const FLOOR_POLL_MS = 40;

export interface Head {
  /** The hash of the manifest that shows a channel now, empty if nothing was ever published there. */
  readonly hash: string;
  /** At which the index was read. */
  readonly generation: number;
}

/**
 * Where the index of a channel is now. An index below the
 * channel's floor still shows what was taken from somebody: it is waited for, and after two seconds refused with
 * Fault('unavailable'). The floor is part of the key, so that what was remembered below it is never asked again.
 */
export function headOf(
  floors: Floors,
  reader: Reader,
  where: { readonly service: string; readonly name: string },
  ask: () => Promise<HeadAnswer>,
): Head | Promise<Head> {
  const { id, floor } = reader.channel;
  const query = {
    key: `head ${where.service} ${id} ${floor} ${where.name}`,
    services: [where.service],
    isEmpty: ({ hash }: Head) => hash === '',
    load: async () => {
      const until = performance.now() + FLOOR_WAIT_MS;
      for (;;) {
        const { generation, manifestKey, versions } = await ask();
        if (generation >= floor) {
          const value = { hash: manifestKey, generation: Number(generation) };
          return { value, versions: versionsFromProto(versions) };
        }
        if (performance.now() > until) {
          throw new Fault(
            'unavailable',
            `The index of ${reader.channel.login} is being made anew. Try again in a moment.`,
          );
        }
        await pause(FLOOR_POLL_MS);
      }
    },
  };
  return floors.read(query, reader);
}
