// Who may import whom. lint-fixtures/ breaks each of these rules once, and npm run lint expects to find exactly that.
const ROOM = '^(?:lint-fixtures/)?';
const DOMAIN = 'fault|conda|pypi|access|token';
const DOMAIN_LIB = `${ROOM}libs/(?:${DOMAIN})/`;
const TEST = '\\.(spec|conformance)\\.ts$';

// Computing with bytes is pure; everything else of Node reaches out of the process.
const PURE = 'node:(assert|buffer|crypto|events|path|stream|string_decoder|url|util|zlib)';

const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

export default {
  forbidden: [
    rule(
      'domain-knows-domain-only',
      'A domain library imports domain libraries: no platform library, no service.',
      { path: DOMAIN_LIB, pathNot: TEST },
      { path: `${ROOM}(?:libs|services)/`, pathNot: DOMAIN_LIB },
    ),
    rule(
      'domain-is-pure',
      'A domain library does no I/O: values in, values out.',
      { path: DOMAIN_LIB, pathNot: [TEST, `${ROOM}libs/access/`] },
      { dependencyTypes: ['core'], pathNot: `^(?:${PURE}|${PURE.replace('node:', '')})(/|$)` },
    ),
    rule(
      'access-is-pure',
      'As every domain library; node:net is there for its BlockList (address ranges) alone.',
      { path: `${ROOM}libs/access/`, pathNot: TEST },
      { dependencyTypes: ['core'], pathNot: `^(?:${PURE}|${PURE.replace('node:', '')}|(?:node:)?net)(/|$)` },
    ),
    rule(
      'domain-has-no-framework',
      'A domain library runs without Nest, drivers and telemetry, so that a browser or a script can use it.',
      { path: DOMAIN_LIB, pathNot: TEST },
      {
        path: 'node_modules/(@nestjs|@nats-io|@aws-sdk|@prisma|@opentelemetry|express|rxjs|pg|ioredis|pino|reflect-metadata)(/|$)',
      },
    ),
    rule(
      'library-knows-no-service',
      'A library never imports a service. The test kit may: it starts them all.',
      { path: `${ROOM}libs/`, pathNot: [`${ROOM}libs/testkit/`, DOMAIN_LIB] },
      { path: `${ROOM}services/` },
    ),
    rule(
      'service-knows-no-other-service',
      'Services speak over the bus. Only platform, which puts them into one process, sees several.',
      { path: `${ROOM}services/([^/]+)/`, pathNot: `${ROOM}services/platform/` },
      { path: `${ROOM}services/`, pathNot: `${ROOM}services/$1/` },
    ),
    rule(
      'product-without-test-kit',
      'The test kit and test files are not part of the product.',
      { path: `${ROOM}(?:libs|services)/`, pathNot: [TEST, `${ROOM}libs/testkit/`, `${ROOM}services/platform/e2e/`] },
      { path: [`${ROOM}libs/testkit/`, `${ROOM}(?:libs|services)/.*${TEST}`] },
    ),
    rule(
      'no-cycles',
      'Two files that import each other are one thought in two places. Generated code is what its generator makes of it.',
      { pathNot: '/src/gen/' },
      { circular: true },
    ),
    rule('resolvable', 'An import that nothing answers to hides from every other rule.', {}, { couldNotResolve: true }),
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['source', 'import', 'node', 'default'],
      extensions: ['.ts', '.mjs', '.js', '.json'],
    },
  },
};
