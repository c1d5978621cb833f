import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  AccessFacts as AccessFactsContract,
  type FactsOfPackageRequest,
  type GrantedToRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/access_facts_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { serviceAmong } from './asking-service.js';
import { findPackage, namesOf } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask } from './query.js';

interface GrantRow {
  readonly kind: string;
  readonly id: string;
  readonly permission: string;
}

/** The facts of packages that decisions rest on, for the service that explains them. */
@Serves(AccessFactsContract)
export class AccessFacts implements HandlerOf<typeof AccessFactsContract> {
  constructor(@Inject(PORTS) private readonly ports: PackagesPorts) {}

  async ofPackage({ channelId, name }: FactsOfPackageRequest, call: Call) {
    await serviceAmong(this.ports, call, ['authz']);
    const row = await findPackage(this.ports.pool, channelId, name);
    if (row === undefined) return { found: false };
    return { found: true, visibility: row.visibility, grants: [...row.grants], names: [...namesOf(row)] };
  }

  async grantedTo({ channelId, userId, groupIds }: GrantedToRequest, call: Call) {
    await serviceAmong(this.ports, call, ['authz']);
    // By grants_principal and packages_pkey.
    const grants = await ask<GrantRow>(
      this.ports.pool,
      `SELECT DISTINCT g.kind, g.principal_id AS id, g.permission FROM grants g JOIN packages p ON p.id = g.package_id
       WHERE p.channel_id = $1 AND p.removed_at IS NULL
         AND ((g.kind = 'user' AND g.principal_id = $2) OR (g.kind = 'group' AND g.principal_id = ANY($3)))`,
      [channelId, userId, groupIds],
    );
    return { grants: [...grants] };
  }
}
