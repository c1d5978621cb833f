import type { Route } from '../routes.js';
import { ACCOUNT_OPERATIONS } from './accounts.js';
import { NOTICE_OPERATIONS } from './notices.js';
import type { Operation, Operations } from './operation.js';
import { PACKAGE_OPERATIONS } from './packages.js';
import { SCHEMAS, type Schema } from './schemas.js';
import { TOKEN_OPERATIONS } from './tokens.js';

const TABLES: Readonly<Record<string, Operations>> = {
  'Accounts, organizations and groups': ACCOUNT_OPERATIONS,
  Tokens: TOKEN_OPERATIONS,
  'Packages, files and labels': PACKAGE_OPERATIONS,
  'Notices of channels': NOTICE_OPERATIONS,
};

export interface DescribedOperation extends Operation {
  readonly tag: string;
  readonly method: string;
  /** As the router has it. */
  readonly path: string;
}

/** Everything that is said of the API's routes, by tag and in the order of the tables. */
export const OPERATIONS: readonly DescribedOperation[] = Object.entries(TABLES).flatMap(([tag, operations]) =>
  Object.entries(operations).map(([route, operation]) => {
    const [method = '', path = ''] = route.split(' ');
    return { ...operation, tag, method, path };
  }),
);

/** What describes a route; undefined for one that is not part of the API. */
export function operationOf({ method, path }: Route): DescribedOperation | undefined {
  return OPERATIONS.find((operation) => operation.method === method && operation.path === path);
}

/** The whole API as an OpenAPI 3.1 document. */
export function openApiDocument(publicUrl: string) {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    const path = openPathOf(operation.path);
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: described(operation) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Vivarium',
      version: '1',
      description:
        'The API of the anaconda client, and what we add to it. Arrays have no pages and stream; our own lists have: give the `next` of one page as `after` of the following. Hidden things answer as missing ones.',
    },
    servers: [{ url: publicUrl }],
    security: [{ token: [] }, {}],
    tags: Object.keys(TABLES).map((name) => ({ name })),
    paths,
    components: {
      schemas: SCHEMAS,
      securitySchemes: {
        token: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: '`token <token>` or `Bearer <token>`',
        },
      },
    },
  };
}

function described(operation: DescribedOperation) {
  const { tag, summary, detail, action, query = {}, body, status, answer } = operation;
  const inPath = [...operation.path.matchAll(/[:*](\w+)/g)].map(([, name = '']) => {
    return { name, in: 'path', required: true, schema: { type: 'string' } };
  });
  const inQuery = Object.entries(query).map(([name, description]) => {
    return { name, in: 'query', required: false, description, schema: { type: 'string' } };
  });
  const parameters = [...inPath, ...inQuery];
  return {
    tags: [tag],
    summary,
    description: `${detail === undefined ? '' : `${detail} `}Needs: ${action}.`,
    'x-action': action,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { content: { 'application/json': { schema: body } } } }),
    responses: {
      [status]: { description: 'Done.', ...(answer === undefined ? {} : { content: contentOf(answer) }) },
      default: { description: 'An error.', content: contentOf({ $ref: '#/components/schemas/Error' }) },
    },
  };
}

function contentOf(answer: Schema | 'bytes' | 'page') {
  if (answer === 'bytes') return { 'application/octet-stream': {} };
  return answer === 'page' ? { 'text/html': {} } : { 'application/json': { schema: answer } };
}

function openPathOf(path: string): string {
  return path.replace(/[:*](\w+)/g, '{$1}');
}
