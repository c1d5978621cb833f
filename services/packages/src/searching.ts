import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { Search as SearchContract, type SearchRequest } from '@vivarium/contracts/gen/vivarium/packages/v1/search_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { packageMessages } from './messages.js';
import type { PackagesPorts } from './ports.js';
import { searchPackages } from './search-packages.js';
import { seekerOf } from './seeker.js';

@Serves(SearchContract)
export class Search implements HandlerOf<typeof SearchContract> {
  constructor(@Inject(PORTS) private readonly ports: PackagesPorts) {}

  async find(request: SearchRequest, call: Call) {
    const { pool } = this.ports;
    const seeker = await seekerOf(this.ports, call);
    const { rows, next } = await searchPackages(pool, seeker, request);
    const packages = [];
    for (const [login, found] of Map.groupBy(rows, ({ login }) => login)) {
      packages.push(...(await packageMessages(pool, login, found)));
    }
    packages.sort((a, b) => order(a.name, b.name) || order(a.channel, b.channel));
    return { packages, more: next !== '', next };
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
