import { ALICE, type Running, startGateway } from './gateway.fixture.js';

let gateway: Running;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

describe('a channel that one may not see', () => {
  it.each(['conda/NAME/noarch/repodata.json', 'pypi/NAME/simple/x/', 'NAME/linux-64/x-1-0.conda'])(
    'is answered at /%s as one that is not there, byte for byte',
    async (path) => {
      for (const Authorization of [undefined, `token ${gateway.token(ALICE)}`]) {
        const headers = Authorization === undefined ? {} : { Authorization };
        const [hidden, missing] = await Promise.all(
          ['hidden', 'nobody'].map((name) => gateway.ask(`/${path.replace('NAME', name)}`, { headers })),
        );
        expect(hidden?.status).toBe(Authorization === undefined ? 401 : 403);
        expect(missing?.status).toBe(hidden?.status);
        expect(hidden?.text.replaceAll('hidden', 'nobody')).toBe(missing?.text);
      }
    },
  );
});
