import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { FactVersionSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import {
  AcknowledgementSchema,
  InvalidationSchema,
  type LeaseRequest,
  type LeaseResponseSchema,
} from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { Leases } from '@vivarium/db/leases';
import { addToOutbox, type Position, type Transaction } from '@vivarium/db/outbox';
import { Relay } from '@vivarium/db/relay';
import type { Bus, Subscription } from '@vivarium/rpc/bus';
import { subscribeEvent } from '@vivarium/rpc/events';
import type { Pool } from 'pg';

/** A fact under this tag is older than this version. Tags are listed in the contract `common/v1/facts.proto`. */
export interface FactVersion {
  readonly tag: string;
  readonly version: number;
}

export interface InvalidationsOptions {
  readonly service: string;
  /** Of the service's schema, which has the outbox tables. */
  readonly pool: Pool;
  readonly bus: Bus;
  /** Takes one line about messages that wait. */
  readonly log: (line: string) => void;
  /** How long a gateway may answer from memory, 5 s unless given. */
  readonly leaseMs?: number;
}

/** Where a service announces which facts have changed. */
export const invalidationSubject = (service: string): string => `invalidations.${service}`;
/** Where gateways say what they have dropped. */
export const acknowledgementSubject = (service: string): string => `acknowledgements.${service}`;

/**
 * Names facts of a service in the transaction that changes them, without a bus: for a command beside the running service,
 * which finds and announces them within a second.
 */
export function addInvalidation(tx: Transaction, service: string, facts: readonly FactVersion[]): Promise<void> {
  const init: MessageInitShape<typeof FactVersionSchema>[] = facts.map(({ tag, version }) => ({
    tag,
    version: BigInt(version),
  }));
  const message = toBinary(InvalidationSchema, create(InvalidationSchema, { facts: init }));
  return addToOutbox(tx, invalidationSubject(service), message);
}

const LEASE_MS = 5_000;
// Longer than any lease: whoever does not acknowledge has lost it by then.
const BARRIER_MS = LEASE_MS + 1_000;

/**
 * How one service makes others forget: facts that change are named in the transaction that changes them, announced in order
 * with numbers after the commit, and a barrier waits until nobody answers from a memory older than them.
 */
export class Invalidations {
  readonly #options: InvalidationsOptions;
  readonly #relay: Relay;
  readonly #leases: Leases;
  #acknowledgements: Subscription | undefined;

  constructor(options: InvalidationsOptions) {
    const { pool, bus, service, log } = options;
    this.#options = options;
    this.#relay = new Relay({
      pool,
      publish: (topic, payload, { epoch, seq }) => {
        const message = create(InvalidationSchema, {
          ...fromBinary(InvalidationSchema, payload),
          epoch,
          seq: BigInt(seq),
        });
        bus.publish(topic, toBinary(InvalidationSchema, message));
      },
      flush: () => bus.flush(),
      log: (line) => log(`${service}: ${line}`),
    });
    this.#leases = new Leases({ pool, relay: this.#relay });
  }

  /** Begins to announce, what a crash left behind included, and to hear acknowledgements. */
  async start(): Promise<void> {
    const { bus, service } = this.#options;
    this.#acknowledgements = await subscribeEvent(bus, AcknowledgementSchema, acknowledgementSubject(service), (ack) =>
      this.#leases.acked(ack.holder, { epoch: ack.epoch, seq: Number(ack.seq) }),
    );
    this.#relay.start();
  }

  async stop(): Promise<void> {
    await this.#relay.stop();
    await this.#acknowledgements?.close();
  }

  /** Names facts in the transaction that changes them. After its commit call `wake` or `barrier`. */
  add(tx: Transaction, facts: readonly FactVersion[]): Promise<void> {
    return addInvalidation(tx, this.#options.service, facts);
  }

  /** Announces what was just committed. Never throws. */
  wake(): void {
    this.#relay.wake();
  }

  /** Announces what is committed now and gives the number that covers it. Throws Fault('unavailable'). */
  announced(): Promise<Position> {
    return this.#relay.relay();
  }

  /**
   * Announces what is committed now, then waits until no gateway remembers anything older. False if one still may after
   * `timeoutMs`. Throws Fault('unavailable') if the bus or the database does not answer: then it is only late.
   */
  async barrier(timeoutMs = BARRIER_MS): Promise<boolean> {
    return (await this.#leases.barrier(await this.#relay.relay(), timeoutMs)).length === 0;
  }

  /** The answer to a gateway that asks for the right to answer from memory. */
  async lease(request: LeaseRequest): Promise<MessageInitShape<typeof LeaseResponseSchema>> {
    const held = { epoch: request.epoch, seq: Number(request.seq) };
    const { position, ms } = await this.#leases.grant(request.holder, this.#options.leaseMs ?? LEASE_MS, held);
    return { epoch: position.epoch, seq: BigInt(position.seq), leaseMs: BigInt(ms) };
  }
}
