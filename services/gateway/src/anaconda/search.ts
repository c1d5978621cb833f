import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Inject, Query, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Search as SearchContract } from '@vivarium/contracts/gen/vivarium/packages/v1/search_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type Page, sendRows } from './json-stream.js';
import { packageShape } from './shapes.js';

const PAGE = 200;

interface SearchQuery {
  readonly name?: unknown;
  readonly type?: unknown;
  readonly platform?: unknown;
}

/** Packages of all channels that the caller may read. */
@Controller('api/search')
export class Search {
  readonly #search: ClientOf<typeof SearchContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#search = clientOf(SearchContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get()
  async find(@Req() request: IncomingMessage, @Res() response: ServerResponse, @Query() query: SearchQuery) {
    const asked = { name: textOf(query, 'name'), kind: textOf(query, 'type'), platform: textOf(query, 'platform') };
    const page = async (after: string): Promise<Page<unknown>> => {
      const caller = await this.identify.identify(request, ['packages']);
      const { packages, more, next } = await this.#search.find(
        { ...asked, after, limit: PAGE },
        caller.for('packages'),
      );
      return {
        rows: packages.map((each) => packageShape(each, this.#publicUrl)),
        next: more ? () => page(next) : undefined,
      };
    };
    await sendRows(response, await page(''));
  }
}

function textOf(query: SearchQuery, name: keyof SearchQuery): string {
  const value = query[name] ?? '';
  if (typeof value === 'string') return value;
  throw new Fault('invalid', `"${name}" is given more than once.`);
}
