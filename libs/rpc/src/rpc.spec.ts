import type { AddRequest } from '@vivarium/contracts/gen/vivarium/rpctest/v1/echo_pb';
import { Echo, Sums } from '@vivarium/contracts/gen/vivarium/rpctest/v1/echo_pb';
import { LocalExchange } from './local.js';
import { clientOf, type HandlerOf, queueOf, subjectOf } from './rpc.js';

describe('a contract', () => {
  it('gives each method a subject that begins with the service', () => {
    expect(Echo.methods.map(subjectOf)).toEqual(['rpctest.Echo.say', 'rpctest.Echo.refuse', 'rpctest.Echo.lookAround']);
    expect(queueOf(Sums.method.add)).toBe('rpctest');
  });

  it('makes a missing method, a wrong answer and a wrong field errors of compilation', () => {
    class Right implements HandlerOf<typeof Sums> {
      async add(request: AddRequest) {
        return { sum: request.terms.reduce((sum, term) => sum + term, 0n) };
      }
    }
    // @ts-expect-error the method `add` is missing
    class Missing implements HandlerOf<typeof Sums> {
      async subtract() {
        return {};
      }
    }
    class WrongAnswer implements HandlerOf<typeof Sums> {
      // @ts-expect-error `sum` is a bigint
      async add() {
        return { sum: 'three' };
      }
    }
    class WrongRequest implements HandlerOf<typeof Sums> {
      // @ts-expect-error the contract's request has no `factors`
      async add(request: { factors: bigint[] }) {
        return { sum: BigInt(request.factors.length) };
      }
    }
    const sums = clientOf(Sums, new LocalExchange().connect({ error: () => undefined }));
    const calls = [
      () => sums.add({ terms: [1n] }),
      // @ts-expect-error the field is called `terms`
      () => sums.add({ term: [1n] }),
      // @ts-expect-error the contract has no such method
      () => sums.subtract({}),
    ];
    // The proof is in the compiler: each `@ts-expect-error` above fails the type check if the line below it is accepted.
    expect([Right, Missing, WrongAnswer, WrongRequest, ...calls]).toHaveLength(7);
  });
});
