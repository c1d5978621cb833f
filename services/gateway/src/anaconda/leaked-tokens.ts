import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, HttpCode, Inject, Post, Req } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { arrivalOf } from '../arrival.js';
import { untilStepMs } from '../even-time.js';
import type { GatewayPorts } from '../gateway.js';
import { ReportLimit } from '../rate-limit.js';
import { readValue } from './json-body.js';
import { parseLeakReport } from './leak-report.js';

const LIMIT_BYTES = 256 * 1024;
// It is answered when no gateway remembers the tokens.
const REVOKE_MS = 15_000;
// Revoking takes longer than finding nothing; the answer leaves at one of few moments.
const STEP_MS = 250;

/** Tokens that somebody has found where they do not belong. To hold one is all the right that it takes to end it. */
@Controller('api/leaked-tokens')
export class LeakedTokens {
  readonly #tokens: ClientOf<typeof Tokens>;
  readonly #limit: ReportLimit;

  constructor(@Inject(PORTS) private readonly ports: GatewayPorts) {
    this.#tokens = clientOf(Tokens, ports.bus);
    this.#limit = new ReportLimit(ports.counters);
  }

  /** No credential is looked at. The answer says what was received, never what there was. */
  @Post()
  @HttpCode(200)
  async report(@Req() request: IncomingMessage) {
    const { address = '' } = arrivalOf(request);
    await this.#limit.admit(address);
    const { leaked, received, malformed } = parseLeakReport(await readValue(request, LIMIT_BYTES));
    const begunMs = performance.now();
    const options = { assertion: await this.ports.trust.assertionFor('identity'), timeoutMs: REVOKE_MS };
    await this.#tokens.revokeLeaked({ leaked: [...leaked], address }, options);
    await sleep(untilStepMs(performance.now() - begunMs, STEP_MS));
    return { received, malformed };
  }
}
