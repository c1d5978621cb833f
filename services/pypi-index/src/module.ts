import { type DynamicModule, Inject, Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import type { ChannelIndexer } from '@vivarium/indexing/channel-indexer';
import { IndexSweep } from '@vivarium/indexing/index-sweep';
import { Heads } from './heads.js';
import { Leases } from './leases.js';
import type { PypiIndexPorts } from './ports.js';
import { INDEXER, pypiIndexer } from './pypi-indexer.js';
import { pypiSweep } from './sweep.js';
import { Upkeep } from './upkeep.js';

/** The service pypi-index: the simple pages of all channels, kept true to the packages service. */
export function pypiIndexModule(ports: PypiIndexPorts): DynamicModule {
  return {
    module: PypiIndexModule,
    controllers: [Heads, Leases, Upkeep],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: INDEXER, useFactory: () => pypiIndexer(ports) },
      { provide: IndexSweep, useFactory: () => pypiSweep(ports) },
    ],
  };
}

@Module({})
class PypiIndexModule implements OnApplicationBootstrap, OnModuleDestroy {
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
