import type { Config } from '@vivarium/boot/config';
import { Decisions } from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { Fault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { withInstallation } from './cli-installation.js';

export interface CanIAsked {
  readonly as: string;
  readonly verb: string;
  /** A channel, or `channel/package`. */
  readonly resource: string;
  readonly token?: string;
  readonly label?: string;
  readonly via?: string;
}

/**
 * `vivarium can-i AS VERB RESOURCE`: prints the decision and why. True if it allows. Throws Fault('not_found') for an
 * account that does not exist, Fault('invalid') for what is no question.
 */
export function explainDecision(config: Config, asked: CanIAsked): Promise<boolean> {
  const [channel = '', name = '', ...more] = asked.resource.split('/');
  if (channel === '' || more.length > 0) {
    throw new Fault('invalid', `"${asked.resource}" is no resource: name a channel, or a package as channel/package.`);
  }
  const { as, verb, token = '', label = '', via = '' } = asked;
  const question = { as, verb, channel, package: name, token, label, via };
  return withInstallation(config, 'can-i', async ({ bus, asked: options }) => {
    const { allow, reason } = await clientOf(Decisions, bus).explain(question, await options('authz'));
    process.stdout.write(`${allow ? 'yes' : 'no'}: ${reason}\n`);
    return allow;
  });
}
