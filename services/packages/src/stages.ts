import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import {
  type AdmitRequest,
  type CommitRequest,
  type ExpectRequest,
  type OpenStageRequest,
  type ReceiveRequest,
  Stages as StagesContract,
  type SubmitRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { actorToday, readerIn } from './actor.js';
import { serviceAmong } from './asking-service.js';
import { readChannel } from './channel-row.js';
import { fileMessage, readFile } from './file-row.js';
import type { Inspector } from './inspection.js';
import { packageMessageOf } from './messages.js';
import { admitUpload, openStage, openSubmitted } from './open-stage.js';
import { findPackageFor, readPackageById } from './package-row.js';
import { INSPECTOR, type PackagesPorts } from './ports.js';
import { Readability } from './readability.js';
import { expectBytes, receiveBytes } from './receive-stage.js';
import { requireUpload } from './rights.js';
import { findStage, type StageRow } from './stage-row.js';
import { publish } from './upload.js';
import { parseKind, parseUploadPath } from './upload-path.js';

@Serves(StagesContract)
export class Stages implements HandlerOf<typeof StagesContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(INSPECTOR) private readonly inspector: Inspector,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async admit(request: AdmitRequest, call: Call) {
    const kind = parseKind(request.kind);
    await admitUpload(this.ports.pool, await readerIn(this.ports, call, request.channel, 'upload'), kind);
    return { maxBytes: BigInt(this.ports.config.maxUploadBytes) };
  }

  async open(request: OpenStageRequest, call: Call) {
    return openStage(this.ports, await readerIn(this.ports, call, request.channel, 'upload'), request);
  }

  async expect({ stageId }: ExpectRequest, call: Call) {
    await serviceAmong(this.ports, call, ['gateway']);
    const expected = await expectBytes(this.ports.pool, stageId, this.ports.clock());
    return { ...expected, maxBytes: BigInt(this.ports.config.maxUploadBytes) };
  }

  async receive(request: ReceiveRequest, call: Call) {
    await serviceAmong(this.ports, call, ['gateway']);
    const bytes = { ...request, sizeBytes: Number(request.sizeBytes) };
    await receiveBytes(this.ports.pool, request.stageId, bytes, this.ports.clock());
    return {};
  }

  async commit(request: CommitRequest, call: Call) {
    const message = await this.ports.trust.callerMessageOf(call);
    if (message === undefined) throw new Fault('unauthenticated', 'Sign in, or use a token, to upload.');
    const stage = await this.#stageOf(request, message);
    if (stage.state === 'received') await this.#decideEarly(stage, message);
    return this.#publish(stage, message);
  }

  async submit(request: SubmitRequest, call: Call) {
    const reader = await readerIn(this.ports, call, request.channel, 'upload');
    const { message } = reader;
    if (message === undefined) throw new Fault('unauthenticated', 'Sign in, or use a token, to upload.');
    await admitUpload(this.ports.pool, reader, parseKind(request.kind));
    const stage = await findStage(this.ports.pool, await openSubmitted(this.ports, reader, request));
    if (stage === undefined) throw unknownUpload();
    return this.#publish(stage, message);
  }

  /** The stage, if the caller's account opened it for this very path. Anything else is unknown. */
  async #stageOf(request: CommitRequest, { accountId }: CallerMessage): Promise<StageRow> {
    const stage = await findStage(this.ports.pool, request.stageId);
    if (stage === undefined || stage.accountId !== accountId || stage.form !== null) throw unknownUpload();
    const channel = await readChannel(this.ports.pool, 'id', stage.channelId);
    const isSamePath =
      channel?.login === request.channel.toLowerCase() &&
      stage.package === request.package.toLowerCase() &&
      stage.version === request.version &&
      stage.basename === request.basename;
    if (!isSamePath || stage.expiresAt.getTime() <= this.ports.clock()) throw unknownUpload();
    return stage;
  }

  // What is decided for good when the file is entered is decided here too, before a stranger's archive costs us anything.
  async #decideEarly(stage: StageRow, message: CallerMessage): Promise<void> {
    const channel = await readChannel(this.ports.pool, 'id', stage.channelId);
    if (channel === undefined) throw unknownUpload();
    const actor = await actorToday(this.ports, message, channel);
    const { kind, name, subdir } = parseUploadPath(stage);
    const row = await findPackageFor(this.ports.pool, channel.id, { kind, name: stage.package });
    requireUpload(actor, row, { kind, name, labels: stage.labels, subdir });
  }

  async #publish(stage: StageRow, message: CallerMessage) {
    const { ports, inspector, readability } = this;
    const { fileId, generation, readable, created } = await publish({ ports, inspector, readability }, stage, message);
    const file = await readFile(ports.pool, fileId);
    const [channel, row] = await Promise.all([
      readChannel(ports.pool, 'id', stage.channelId),
      file === undefined ? undefined : readPackageById(ports.pool, file.packageId),
    ]);
    return {
      ...(file === undefined ? {} : { file: fileMessage(file) }),
      ...(row === undefined ? {} : { package: await packageMessageOf(ports.pool, channel?.login ?? '', row) }),
      generation: BigInt(generation),
      readable,
      created,
    };
  }
}

function unknownUpload(): Fault {
  return new Fault('not_found', 'This upload is unknown, or has expired: start it again.');
}
