import { startServer } from '@vivarium/testkit/servers';
import { describeBus } from './bus.conformance.js';
import { openNatsBus } from './nats.js';

describeBus('NATS', async () => {
  const server = await startServer('nats');
  const url = `${server.env.NATS_URL}`;
  return { connect: (service, log) => openNatsBus({ url, service, log }), stop: () => server.stop() };
});
