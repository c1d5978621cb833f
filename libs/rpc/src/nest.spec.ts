import { setTimeout as pause } from 'node:timers/promises';
import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AddRequest, RefuseRequest, SayRequest } from '@vivarium/contracts/gen/vivarium/rpctest/v1/echo_pb';
import { Echo, Sums } from '@vivarium/contracts/gen/vivarium/rpctest/v1/echo_pb';
import { Fault, isFaultCode } from '@vivarium/fault/fault';
import type { Bus } from './bus.js';
import { LocalExchange } from './local.js';
import { connectBusServer, createBusService, Serves } from './nest.js';
import { type Call, clientOf, type HandlerOf } from './rpc.js';

@Injectable()
class Calculator {
  add(terms: readonly bigint[]): bigint {
    return terms.reduce((sum, term) => sum + term, 0n);
  }
}

@Serves(Sums)
class SumsController implements HandlerOf<typeof Sums> {
  readonly #calculator: Calculator;
  constructor(calculator: Calculator) {
    this.#calculator = calculator;
  }

  async add(request: AddRequest) {
    return { sum: this.#calculator.add(request.terms) };
  }
}

class Saying {
  async say(request: SayRequest) {
    await pause(request.delayMs);
    return { text: request.text };
  }
}

@Serves(Echo)
class EchoController extends Saying implements HandlerOf<typeof Echo> {
  async refuse(request: RefuseRequest): Promise<never> {
    if (isFaultCode(request.code)) throw new Fault(request.code, request.message);
    throw new Error(request.message);
  }

  async lookAround(_request: object, call: Call) {
    return { subject: call.subject, assertion: call.assertion ?? '' };
  }
}

@Controller()
class Pages {
  @Get('hello')
  hello() {
    return 'hello';
  }
}

@Module({ controllers: [SumsController], providers: [Calculator] })
class SumsModule {}
@Module({ controllers: [EchoController] })
class EchoModule {}
@Module({ imports: [SumsModule, EchoModule] })
class BothModule {}
@Module({ imports: [SumsModule, EchoModule], controllers: [Pages] })
class HybridModule {}

describe('a Nest application on the bus', () => {
  let bus: Bus;
  let logged: { err?: unknown }[] = [];
  const log = { error: (fields: object) => logged.push(fields) };
  let open: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(app: T): T => {
    open.push(app);
    return app;
  };

  beforeEach(() => {
    logged = [];
    bus = new LocalExchange().connect(log);
  });
  afterEach(async () => {
    await Promise.all(open.map((app) => app.close()));
    open = [];
    await bus.drain();
  });

  const kinds = {
    'that speaks on the bus only': async () => {
      const app = keep(await createBusService(BothModule, bus, log, { logger: false }));
      await app.listen();
      return app;
    },
    'that also speaks HTTP': async () => {
      const app = keep(await NestFactory.create(HybridModule, { logger: false }));
      connectBusServer(app, bus, log);
      await app.startAllMicroservices();
      await app.listen(0, '127.0.0.1');
      return app;
    },
  };

  describe.each(Object.entries(kinds))('%s', (_kind, start) => {
    it('answers every contract that it has a controller for, with injected providers', async () => {
      await start();
      expect((await clientOf(Sums, bus).add({ terms: [1n, 2n, 3n] })).sum).toBe(6n);
      expect((await clientOf(Echo, bus).say({ text: 'inherited' })).text).toBe('inherited');
    });

    it('gives the handler its call', async () => {
      await start();
      const answer = await clientOf(Echo, bus).lookAround({}, { assertion: 'a.b.c' });
      expect([answer.subject, answer.assertion]).toEqual(['rpctest.Echo.lookAround', 'a.b.c']);
    });

    it('keeps the code and message of a fault', async () => {
      await start();
      const refusal = clientOf(Echo, bus).refuse({ code: 'not_found', message: 'acme has no package numpy' });
      await expect(refusal).rejects.toEqual(new Fault('not_found', 'acme has no package numpy'));
      expect(logged).toEqual([]);
    });

    it('hides an unexpected error and logs it once', async () => {
      await start();
      const refusal = clientOf(Echo, bus).refuse({ message: 'password=hunter2' });
      await expect(refusal).rejects.toMatchObject({
        code: 'internal',
        message: expect.not.stringContaining('hunter2'),
      });
      expect(logged.map(({ err }) => err)).toEqual([expect.objectContaining({ message: 'password=hunter2' })]);
    });

    it('lets running calls answer when it is closed, and leaves the bus open', async () => {
      const app = await start();
      const answer = clientOf(Echo, bus).say({ text: 'slow', delayMs: 150 });
      await pause(50);
      await app.close();
      open = [];
      expect((await answer).text).toBe('slow');
      await expect(clientOf(Echo, bus).say({})).rejects.toMatchObject({ code: 'unavailable' });
      await bus.check();
    });
  });

  it('shares a bus with others in the process, each closed alone', async () => {
    const sums = keep(await createBusService(SumsModule, bus, log, { logger: false }));
    const echo = keep(await createBusService(EchoModule, bus, log, { logger: false }));
    await Promise.all([sums.listen(), echo.listen()]);
    await sums.close();
    await expect(clientOf(Sums, bus).add({})).rejects.toMatchObject({ code: 'unavailable' });
    expect((await clientOf(Echo, bus).say({ text: 'still' })).text).toBe('still');
  });

  it('serves HTTP beside the bus', async () => {
    const app = keep(await NestFactory.create(HybridModule, { logger: false }));
    connectBusServer(app, bus, log);
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const response = await fetch(`${await app.getUrl()}/hello`);
    expect(await response.text()).toBe('hello');
  });

  it('refuses to start with two controllers for one contract', async () => {
    @Serves(Sums)
    class Second implements HandlerOf<typeof Sums> {
      async add() {
        return { sum: 0n };
      }
    }
    @Module({ imports: [SumsModule], controllers: [Second] })
    class TwiceModule {}
    const app = createBusService(TwiceModule, bus, log, { logger: false }).then((made) => keep(made).listen());
    await expect(app).rejects.toThrow('Two controllers serve rpctest.Sums.add');
  });

  it('does not compile, nor load, with a class that lacks a method', () => {
    expect(() => {
      // @ts-expect-error `refuse` and `lookAround` are missing
      @Serves(Echo)
      class Half extends Saying {}
      return Half;
    }).toThrow('Half has no method refuse');
  });
});
