import 'reflect-metadata';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type INestApplication,
  type INestMicroservice,
  UseFilters,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, type CustomTransportStrategy, MessagePattern, Payload, Server } from '@nestjs/microservices';
import { isObservable, lastValueFrom, type Observable, throwError } from 'rxjs';
import type { Bus, FailureLog, Subscription } from './bus.js';
import { answerMethod, type HandlerOf, queueOf, subjectOf } from './rpc.js';

const BUS = Symbol('the bus of @vivarium/rpc');

/**
 * Makes a class the handler of a contract: a controller whose methods answer the contract's rpcs.
 * A class that lacks a method, or has one with other types, does not compile.
 */
export function Serves<S extends DescService>(service: S) {
  return <C extends new (...dependencies: never[]) => HandlerOf<S>>(target: C): void => {
    for (const method of service.methods) {
      const property = ownerOf(target.prototype, method.localName);
      if (!property)
        throw new Error(`${target.name} has no method ${method.localName}, which ${service.typeName} demands.`);
      Payload()(target.prototype, method.localName, 0);
      Ctx()(target.prototype, method.localName, 1);
      MessagePattern(subjectOf(method), BUS, { method })(target.prototype, method.localName, property);
    }
    Controller()(target);
    UseFilters(new KeepFaults())(target);
  };
}

/** Nest's transport on a bus: serves every contract of the application, each in the queue of its service. */
export class BusServer extends Server implements CustomTransportStrategy {
  override readonly transportId = BUS;
  readonly #bus: Bus;
  readonly #log: FailureLog;
  #subscriptions: Subscription[] = [];

  constructor(bus: Bus, log: FailureLog) {
    super();
    this.#bus = bus;
    this.#log = log;
  }

  override addHandler(...handler: Parameters<Server['addHandler']>): void {
    // Nest would keep the later of the two and say nothing.
    if (this.messageHandlers.has(handler[0])) throw new Error(`Two controllers serve ${handler[0]}. Remove one.`);
    super.addHandler(...handler);
  }

  async listen(callback: (error?: unknown) => void): Promise<void> {
    try {
      this.#subscriptions = await Promise.all(
        [...this.messageHandlers].map(([subject, handler]) => {
          const method: DescMethod = handler.extras?.method;
          const answer = answerMethod(
            method,
            async (request, call) => resultOf(await handler(request, call)),
            this.#log,
          );
          return this.#bus.serve(subject, queueOf(method), answer);
        }),
      );
      callback();
    } catch (error) {
      callback(error);
    }
  }

  /** Takes no further call and waits for those that run. The bus stays open: other services of the process may use it. */
  async close(): Promise<void> {
    const closing = this.#subscriptions;
    this.#subscriptions = [];
    await Promise.all(closing.map((subscription) => subscription.close()));
  }

  on(event: string): never {
    throw new Error(`The bus has no event "${event}". Listen with bus.subscribe or bus.onReconnect.`);
  }

  unwrap<T>(): T {
    return this.#bus as T;
  }
}

/** Serves the contracts of an HTTP application on a bus too. Call `app.startAllMicroservices()` afterwards; `app.close()` ends both. */
export function connectBusServer(app: INestApplication, bus: Bus, log: FailureLog): INestMicroservice {
  return app.connectMicroservice({ strategy: new BusServer(bus, log) });
}

/** An application that speaks on the bus only. Call `listen()` on what it gives; `close()` ends it and leaves the bus open. */
export function createBusService(
  module: Parameters<typeof NestFactory.createMicroservice>[0],
  bus: Bus,
  log: FailureLog,
  options: Pick<NonNullable<Parameters<typeof NestFactory.createMicroservice>[1]>, 'logger'> = {},
): Promise<INestMicroservice> {
  return NestFactory.createMicroservice(module, { ...options, strategy: new BusServer(bus, log) });
}

/** Nest replaces every error by "Internal server error"; this hands it on as it is to `answerMethod`, which knows faults. */
@Catch()
class KeepFaults {
  catch(error: unknown, _host: ArgumentsHost): Observable<never> {
    return throwError(() => error);
  }
}

async function resultOf(result: unknown): Promise<unknown> {
  return isObservable(result) ? lastValueFrom(result) : result;
}

function ownerOf(prototype: object, name: string): PropertyDescriptor | undefined {
  for (let owner: object | null = prototype; owner !== null; owner = Object.getPrototypeOf(owner)) {
    const property = Object.getOwnPropertyDescriptor(owner, name);
    if (property) return property;
  }
  return undefined;
}
