import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { DEFAULT_LABEL, parseLabel } from '@vivarium/conda/label';
import {
  Copies as CopiesContract,
  type CopyRequest,
  Mode,
} from '@vivarium/contracts/gen/vivarium/packages/v1/copies_pb';
import { inTransaction } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { actorToday, type Reader, readerIn } from './actor.js';
import { awaitReadable, indexedKinds } from './await-readable.js';
import { copyFiles } from './copy-files.js';
import { fileMessage, readFilesById } from './file-row.js';
import { lockChannels } from './next-generation.js';
import type { PackagesPorts } from './ports.js';
import { Readability } from './readability.js';

const MODES = { [Mode.UNSPECIFIED]: 'plain', [Mode.REPLACE]: 'replace', [Mode.UPDATE]: 'update' } as const;

@Serves(CopiesContract)
export class Copies implements HandlerOf<typeof CopiesContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async copy(request: CopyRequest, call: Call) {
    const { ports, readability } = this;
    const { channel, package: name, version, basename } = request;
    const source = await readerIn(ports, call, channel, 'api');
    const target = await readerIn(
      ports,
      call,
      request.toChannel === '' ? ownLogin(source) : request.toChannel,
      'upload',
    );
    const asked = {
      package: name,
      version,
      basename,
      from: parseLabel(request.fromLabel === '' ? DEFAULT_LABEL : request.fromLabel),
      to: parseLabel(request.toLabel === '' ? DEFAULT_LABEL : request.toLabel),
      mode: MODES[request.mode] ?? 'plain',
    };
    const copied = await inTransaction(ports.pool, async (tx) => {
      const channels = await lockChannels(tx, [source.channel.id, target.channel.id]);
      const [from, into] = [channels.get(source.channel.id), channels.get(target.channel.id)];
      if (from === undefined || into === undefined)
        throw new Fault('not_found', 'This channel does not exist any more.');
      const actors = [
        await actorToday(ports, source.message, from),
        await actorToday(ports, source.message, into),
      ] as const;
      return copyFiles(tx, ports, { source: actors[0], target: actors[1] }, asked);
    });
    const waits = { channelId: target.channel.id, generation: copied.generation, kinds: indexedKinds(copied.kinds) };
    const readable = await awaitReadable(ports, readability, waits);
    // The channel may have an audience that it had not before.
    if (copied.madePackage) await untilForgotten(ports.invalidations, 'The copy is made');
    return { files: (await readFilesById(ports.pool, copied.fileIds)).map(fileMessage), readable };
  }
}

function ownLogin({ caller }: Reader): string {
  if (caller.kind === 'account') return caller.login;
  throw new Fault('unauthenticated', 'Sign in first: a copy needs a channel that it goes to.');
}
