import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { parseLabel } from '@vivarium/conda/label';
import {
  type ChangeLabelRequest,
  type CopyLabelRequest,
  Labels as LabelsContract,
  type ListLabelsRequest,
  type LockLabelRequest,
  type ShowLabelRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/labels_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { type Actor, type Reader, readerIn } from './actor.js';
import { awaitReadable, indexedKinds } from './await-readable.js';
import { changeChannel } from './change-channel.js';
import { attachLabel, copyLabel, detachLabel, type LabelChange, setLock } from './change-labels.js';
import { fileMessage } from './file-row.js';
import { labelsOf, showLabel } from './list-labels.js';
import type { PackagesPorts } from './ports.js';
import type { Tx } from './query.js';
import { Readability } from './readability.js';

@Serves(LabelsContract)
export class Labels implements HandlerOf<typeof LabelsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async list({ channel }: ListLabelsRequest, call: Call) {
    const reader = await readerIn(this.ports, call, channel, 'api');
    const labels = await labelsOf(this.ports.pool, reader);
    return { labels: labels.map(({ name, locked, files }) => ({ name, locked, files: BigInt(files) })) };
  }

  async show({ channel, label, afterFile }: ShowLabelRequest, call: Call) {
    const reader = await readerIn(this.ports, call, channel, 'api');
    const { locked, files, more } = await showLabel(this.ports.pool, reader, parseLabel(label), afterFile);
    return { locked, files: files.map(fileMessage), more };
  }

  add(request: ChangeLabelRequest, call: Call) {
    const label = parseLabel(request.label);
    return this.#change(request.channel, call, (tx, actor) =>
      attachLabel(tx, this.ports, actor, { ...request, label }),
    );
  }

  remove(request: ChangeLabelRequest, call: Call) {
    const label = parseLabel(request.label);
    return this.#change(request.channel, call, (tx, actor) =>
      detachLabel(tx, this.ports, actor, { ...request, label }),
    );
  }

  copy(request: CopyLabelRequest, call: Call) {
    const [label, to] = [parseLabel(request.label), parseLabel(request.to)];
    return this.#change(request.channel, call, (tx, actor) => copyLabel(tx, this.ports, actor, { label, to }));
  }

  async lock({ channel, label, locked }: LockLabelRequest, call: Call) {
    const name = parseLabel(label);
    const reader = await readerIn(this.ports, call, channel, 'api');
    await changeChannel(this.ports, reader, (tx, actor) => setLock(tx, this.ports, actor, name, locked));
    return {};
  }

  async #change(channel: string, call: Call, change: (tx: Tx, actor: Actor) => Promise<LabelChange>) {
    const { ports, readability } = this;
    const reader: Reader = await readerIn(ports, call, channel, 'api');
    const { generation, kinds, files } = await changeChannel(ports, reader, change);
    const waits = { channelId: reader.channel.id, generation, kinds: indexedKinds(kinds) };
    return { files: BigInt(files), readable: await awaitReadable(ports, readability, waits) };
  }
}
