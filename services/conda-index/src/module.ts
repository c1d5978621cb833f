import { type DynamicModule, Inject, Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import type { ChannelIndexer } from '@vivarium/indexing/channel-indexer';
import { condaIndexer, INDEXER } from './conda-indexer.js';
import { Heads } from './heads.js';
import { Leases } from './leases.js';
import type { CondaIndexPorts } from './ports.js';
import { forgetRetired } from './retired-shard.js';

/** The service conda-index: the conda indexes of all channels, kept true to the packages service. */
export function condaIndexModule(ports: CondaIndexPorts): DynamicModule {
  return {
    module: CondaIndexModule,
    controllers: [Heads, Leases],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: INDEXER, useFactory: () => condaIndexer(ports) },
    ],
  };
}

const FORGET_EVERY_MS = 60 * 60 * 1000;

@Module({})
class CondaIndexModule implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(PORTS) private readonly ports: CondaIndexPorts,
    @Inject(INDEXER) private readonly indexer: ChannelIndexer,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.#timer = setInterval(() => {
      forgetRetired(this.ports).catch((error: unknown) => {
        this.ports.log.warn({ error }, 'Superseded shards could not be forgotten.');
      });
    }, FORGET_EVERY_MS);
    await this.indexer.start();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.indexer.stop();
  }
}
