import type { IncomingMessage } from 'node:http';
import { Controller, Get, Inject, Param, Query, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { loginIn } from './place.js';
import { Sight } from './sight.js';

const KINDS = ['conda', 'pypi'] as const;
const WAIT_LIMIT_MS = 30_000;

/** How far the indexes of a channel are, for those who want to wait until what they changed can be read everywhere. */
@Controller('api/channels')
export class Generation {
  readonly #channels: ClientOf<typeof Channels>;

  constructor(
    @Inject(PORTS) private readonly ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
    @Inject(Sight) private readonly sight: Sight,
  ) {
    this.#channels = clientOf(Channels, ports.bus);
  }

  /** `kind`: conda or pypi (both); `at`: the generation to wait for (today's); `wait`: for so many ms at most (0). */
  @Get(':channel/generation')
  async find(@Req() request: IncomingMessage, @Param('channel') text: string, @Query() query: Asked) {
    await this.identify.identify(request, []);
    const channel = await this.sight.channelFromWithin(request, loginIn(text));
    const kinds = kindsIn(query.kind);
    const at = wholeNumberIn(query, 'at') ?? channel.generation;
    const waitMs = Math.min(wholeNumberIn(query, 'wait') ?? 0, WAIT_LIMIT_MS);
    const states = await Promise.all(kinds.map((kind) => this.#await(channel.id, kind, at, waitMs)));
    return {
      generation: Math.max(...states.map(({ generation }) => Number(generation))),
      indexed: Object.fromEntries(states.map(({ indexed }, index) => [kinds[index], Number(indexed)])),
      readable: states.every(({ readable }) => readable),
    };
  }

  async #await(channelId: string, kind: string, at: number, waitMs: number) {
    const assertion = await this.ports.trust.assertionFor('packages');
    const asked = { channelId, kind, generation: BigInt(at), waitMs: BigInt(waitMs) };
    return this.#channels.await(asked, { assertion, timeoutMs: waitMs + 5_000 });
  }
}

type Asked = Readonly<Record<string, unknown>>;

function kindsIn(kind: unknown): readonly string[] {
  if (kind === undefined) return KINDS;
  const known = KINDS.find((each) => each === kind);
  if (known !== undefined) return [known];
  throw new Fault('invalid', '"kind" must be conda or pypi.');
}

function wholeNumberIn(query: Asked, name: string): number | undefined {
  const text = query[name];
  if (text === undefined) return undefined;
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text);
  throw new Fault('invalid', `"${name}" must be a whole number.`);
}
