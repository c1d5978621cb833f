import { type Running, startGateway } from './gateway.fixture.js';

let gateway: Running;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

describe('the routes of a running gateway', () => {
  it('are read from its router, parameters and all', () => {
    expect(gateway.routes).toContainEqual({ method: 'GET', path: '/api/package/:owner/:package' });
    expect(gateway.routes).toContainEqual({ method: 'POST', path: '/pypi/:channel/legacy' });
    expect(gateway.routes).toContainEqual({ method: 'DELETE', path: '/api/dist/:owner/:package/:version/*basename' });
    expect(gateway.routes.length).toBeGreaterThan(40);
  });

  it('hold no address twice: which of the two answers would depend on the order of the modules', () => {
    const shapes = gateway.routes.map(({ method, path }) => `${method} ${path.replace(/([:*])\w+/g, '$1')}`);
    expect(shapes.filter((shape, at) => shapes.indexOf(shape) !== at)).toEqual([]);
  });

  it('are of methods that OPTIONS names', async () => {
    const { headers } = await gateway.ask('/api/user', { method: 'OPTIONS' });
    const allowed = new Set(headers.allow?.split(', '));
    expect(gateway.routes.filter(({ method }) => !allowed.has(method))).toEqual([]);
  });
});
