import { Ajv2020 } from 'ajv/dist/2020.js';
import { type Running, startGateway } from '../gateway.fixture.js';
import { OPERATIONS } from './document.js';

let gateway: Running;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

interface Document {
  readonly openapi: string;
  readonly components: object;
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

const document = async () => (await gateway.ask('/api/openapi.json')).json() as Document;

describe('the description of the API', () => {
  it('says something of every route that there is, and of none that there is not', () => {
    const routes = gateway.routes.filter(({ path }) => path.split('/')[1] === 'api');
    const [there, described] = [routes, OPERATIONS].map((all) =>
      all.map(({ method, path }) => `${method} ${path}`).sort(),
    );
    expect(described).toEqual(there);
  });

  it('says of every route what it needs, with no two words for one thing', () => {
    for (const { action, summary } of OPERATIONS) {
      expect(action).toMatch(/^(anybody|self|superuser|secret|(read|create|write|admin|own) \w+)$/);
      expect(summary).toMatch(/\.$/);
    }
  });

  it('is a document of which every schema can be used', async () => {
    const { openapi, components, paths } = await document();
    expect(openapi).toBe('3.1.0');
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema({ $id: 'document', components });
    const schemas = Object.values(paths).flatMap((methods) => Object.values(methods));
    expect(schemas.length).toBe(OPERATIONS.length);
    const text = JSON.stringify(schemas).replaceAll('#/components', 'document#/components');
    for (const { requestBody, responses } of JSON.parse(text)) {
      const contents = [requestBody, ...Object.values<Record<string, unknown>>(responses)].map((part) => part?.content);
      for (const content of contents) {
        const schema = content?.['application/json']?.schema;
        if (schema !== undefined) ajv.compile(schema);
      }
    }
  });

  it('is a page for people, who need no account to read it', async () => {
    const { status, headers, text } = await gateway.ask('/api/docs');
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    for (const { summary } of OPERATIONS.slice(0, 5)) expect(text).toContain(summary.slice(0, 20));
    expect(text).not.toMatch(/<script/);
  });
});
