import { type DynamicModule, Inject, Module, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { AccessFacts } from './access-facts.js';
import { Audit } from './audit.js';
import { ChannelData } from './channel-data.js';
import { ChannelEnds } from './channel-ends.js';
import { Channels } from './channels.js';
import { Collaborators } from './collaborators.js';
import { Copies } from './copies.js';
import { Downloads } from './downloads.js';
import { Feed } from './feed.js';
import { Files } from './files.js';
import { Grants } from './grants.js';
import type { Inspector } from './inspection.js';
import { blobsConfigOf, threadInspector } from './inspector-threads.js';
import { Labels } from './labelling.js';
import { Leases } from './leases.js';
import { Notices } from './notices.js';
import { Packages } from './packages.js';
import { INSPECTOR, type PackagesPorts } from './ports.js';
import { Readability } from './readability.js';
import { Releases } from './releases.js';
import { Search } from './searching.js';
import { Stages } from './stages.js';
import { Sweep } from './sweep.js';
import { Transfers } from './transfers.js';
import { Upkeep } from './upkeep.js';
import { Visibilities } from './visibilities.js';

/** The service packages: what exists, who may read it, the upload pipeline, and what indexers recompute from. */
export function packagesModule(ports: PackagesPorts): DynamicModule {
  return {
    module: PackagesModule,
    controllers: [
      AccessFacts,
      Audit,
      ChannelData,
      ChannelEnds,
      Channels,
      Collaborators,
      Copies,
      Downloads,
      Feed,
      Files,
      Grants,
      Labels,
      Leases,
      Notices,
      Packages,
      Releases,
      Search,
      Stages,
      Transfers,
      Upkeep,
      Visibilities,
    ],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: INSPECTOR, useFactory: () => ports.inspector ?? threadInspector(blobsConfigOf(ports.config)) },
      { provide: Readability, useFactory: () => new Readability(ports) },
      { provide: Sweep, useFactory: () => new Sweep(ports) },
    ],
  };
}

@Module({})
class PackagesModule implements OnModuleInit, OnModuleDestroy {
  constructor(
    @Inject(INSPECTOR) private readonly inspector: Inspector,
    @Inject(Readability) private readonly readability: Readability,
    @Inject(Sweep) private readonly sweep: Sweep,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.readability.start();
    this.sweep.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.sweep.stop();
    await this.readability.stop();
    await this.inspector.close();
  }
}
