import { type DynamicModule, Inject, Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import type { ChannelIndexer } from '@vivarium/indexing/channel-indexer';
import { IndexSweep } from '@vivarium/indexing/index-sweep';
import { condaIndexer, INDEXER } from './conda-indexer.js';
import { Heads } from './heads.js';
import { Leases } from './leases.js';
import type { CondaIndexPorts } from './ports.js';
import { condaSweep } from './sweep.js';
import { Upkeep } from './upkeep.js';

/** The service conda-index: the conda indexes of all channels, kept true to the packages service. */
export function condaIndexModule(ports: CondaIndexPorts): DynamicModule {
  return {
    module: CondaIndexModule,
    controllers: [Heads, Leases, Upkeep],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: INDEXER, useFactory: () => condaIndexer(ports) },
      { provide: IndexSweep, useFactory: () => condaSweep(ports) },
    ],
  };
}

@Module({})
class CondaIndexModule implements OnApplicationBootstrap, OnModuleDestroy {
  constructor(
    @Inject(INDEXER) private readonly indexer: ChannelIndexer,
    @Inject(IndexSweep) private readonly sweep: IndexSweep,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.sweep.start();
    await this.indexer.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.sweep.stop();
    await this.indexer.stop();
  }
}
