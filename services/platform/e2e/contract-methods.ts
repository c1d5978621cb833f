import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { subjectOf } from '@vivarium/rpc/rpc';
import { BUS_USERS, type BusUser, queueOf } from '../src/bus-rights.js';

/** A method of a contract, and the service that answers it. */
export interface ContractMethod {
  readonly service: BusUser;
  readonly subject: string;
  readonly method: DescMethod;
}

const GENERATED = fileURLToPath(new URL('../../../libs/contracts/src/gen/vivarium/', import.meta.url));

/** Every method of every contract that a service answers, read from what is generated: none can be forgotten. */
export async function contractMethods(): Promise<readonly ContractMethod[]> {
  const found: ContractMethod[] = [];
  for (const service of BUS_USERS) {
    const folder = join(GENERATED, queueOf(service), 'v1');
    for (const file of filesIn(folder)) {
      const module: Record<string, unknown> = await import(join(folder, file));
      for (const contract of Object.values(module).filter(isContract)) {
        found.push(...contract.methods.map((method) => ({ service, subject: subjectOf(method), method })));
      }
    }
  }
  if (found.length < 50) throw new Error(`Only ${found.length} methods of contracts were found in ${GENERATED}`);
  return found;
}

/** Gateway and command line answer nothing, so they have no folder. */
function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('_pb.ts'));
  } catch {
    return [];
  }
}

function isContract(value: unknown): value is DescService {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'service';
}
