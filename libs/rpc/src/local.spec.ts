import { type BusWorld, describeBus } from './bus.conformance.js';
import { LocalExchange } from './local.js';
import { describeRpc } from './rpc.conformance.js';

async function aNetwork(): Promise<BusWorld> {
  const exchange = new LocalExchange();
  return { connect: async (_service, log) => exchange.connect(log), stop: async () => undefined };
}

describeBus('in process', aNetwork);
describeRpc('in process', aNetwork);
