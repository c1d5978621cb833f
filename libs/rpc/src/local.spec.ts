import { describeBus } from './bus.conformance.js';
import { LocalExchange } from './local.js';

describeBus('in process', async () => {
  const exchange = new LocalExchange();
  return { connect: async (_service, log) => exchange.connect(log), stop: async () => undefined };
});
