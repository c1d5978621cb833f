import type { IncomingMessage } from 'node:http';
import { NotFoundException } from '@nestjs/common';
import { Fault } from '@vivarium/fault/fault';
import { arrivalOf } from '../arrival.js';

/**
 * Where a page of a long list begins: behind the row named by `?after=`, or empty. Throws Fault('invalid') for what no page
 * of ours links to, and as for no address at all what only looks like a page, as `/api/unknown` does.
 */
export function afterIn(request: IncomingMessage): string {
  const { family, query } = arrivalOf(request).target;
  if (family !== 'web') throw new NotFoundException();
  const after = new URLSearchParams(query).get('after') ?? '';
  if (/^[!-~]{0,250}$/.test(after)) return after;
  throw new Fault(
    'invalid',
    'There is no such page of this list: "after" must be as the link of the page before says.',
  );
}
