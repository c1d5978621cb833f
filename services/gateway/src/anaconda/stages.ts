import type { IncomingMessage } from 'node:http';
import { Controller, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Stages as StagesContract } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { patiently } from './patience.js';
import { type FileParams, fileIn } from './place.js';
import { fileShape } from './shapes.js';

// The archive is opened, and the answer waits for the indexes. The client waits without a limit, and does not ask twice: so
// we do, since a repeated commit answers as the first.
const COMMIT = { tryMs: 30_000, limitMs: 180_000 };

/** The first and the last step of the client's upload; the bytes come in between, by `uploads.ts`. */
@Controller('api')
export class Stages {
  readonly #stages: ClientOf<typeof StagesContract>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#stages = clientOf(StagesContract, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Post('stage/:owner/:package/:version/*basename')
  @HttpCode(200)
  async open(@Req() request: IncomingMessage, @Param() params: FileParams) {
    const place = fileIn(params);
    const body = await readJson(request);
    const caller = await this.identify.require(request, ['packages']);
    const asked = {
      ...place,
      kind: body.needText('distribution_type'),
      labels: body.texts('channels') ?? [],
      sha256: body.text('sha256') ?? '',
      description: body.text('description') ?? '',
      attributesJson: JSON.stringify(body.object('attrs') ?? {}),
      dependenciesJson: JSON.stringify(body.object('dependencies') ?? {}),
    };
    const { stageId, ticket } = await this.#stages.open(asked, caller.for('packages'));
    // Every value of the form is sent back as a part before the file, and must be a text.
    return { post_url: `${this.#publicUrl}/api/-/upload/${ticket}`, form_data: { stage: stageId }, dist_id: stageId };
  }

  @Post('commit/:owner/:package/:version/*basename')
  @HttpCode(200)
  async commit(@Req() request: IncomingMessage, @Param() params: FileParams) {
    const place = fileIn(params);
    const stageId = (await readJson(request)).needText('dist_id');
    const committed = await patiently(COMMIT, async (timeoutMs) => {
      const caller = await this.identify.require(request, ['packages']);
      return this.#stages.commit({ stageId, ...place }, { ...caller.for('packages'), timeoutMs });
    });
    const name = committed.package?.name ?? place.package;
    return {
      ...(committed.file === undefined ? {} : fileShape(committed.file, place.channel, this.#publicUrl)),
      url: `${this.#publicUrl}/${place.channel}/${encodeURIComponent(name)}`,
      generation: Number(committed.generation),
      index: committed.readable ? 'ready' : 'pending',
    };
  }
}
