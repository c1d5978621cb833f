import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type AddDownloadsRequest,
  Downloads as DownloadsContract,
} from '@vivarium/contracts/gen/vivarium/packages/v1/downloads_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { serviceAmong } from './asking-service.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Queryable } from './query.js';

const FILES_LIMIT = 5_000;

@Serves(DownloadsContract)
export class Downloads implements HandlerOf<typeof DownloadsContract> {
  constructor(@Inject(PORTS) private readonly ports: PackagesPorts) {}

  async add({ files }: AddDownloadsRequest, call: Call) {
    await serviceAmong(this.ports, call, ['gateway']);
    if (files.length > FILES_LIMIT) {
      throw new Fault('invalid', `At most ${FILES_LIMIT} files are counted at once, not ${files.length}.`);
    }
    await addDownloads(this.ports.pool, new Map(files.map(({ fileId, downloads }) => [fileId, downloads])));
    return {};
  }
}

/** By files_pkey. Rows are locked in one order, so that the counts of two gateways never wait for each other in a circle. */
async function addDownloads(db: Queryable, counts: ReadonlyMap<string, bigint>): Promise<void> {
  await ask(
    db,
    `WITH counted AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS c (id, downloads)),
     locked AS (SELECT f.id FROM files f JOIN counted USING (id) ORDER BY f.id FOR NO KEY UPDATE OF f)
     UPDATE files f SET downloads = f.downloads + counted.downloads
     FROM locked JOIN counted USING (id) WHERE f.id = locked.id`,
    [[...counts.keys()], [...counts.values()].map(String)],
  );
}
