import { swcOptions } from './scripts/swc-options.mjs';

// VIVARIUM_SUITE narrows what is found: `unit` is everything that does not start the whole product, `e2e` is what does, and
// `long` what takes too long to be run each time.
const suite = process.env.VIVARIUM_SUITE ?? 'all';
const endToEnd = '<rootDir>/services/platform/e2e/';
const longForms = '<rootDir>/services/platform/long/';
const folders = { e2e: endToEnd, long: longForms };

// End-to-end tests whose outcome does not depend on how the product is divided run in one of the two ways: as separate
// services on real servers where processes die, hear of each other or decide; in one process where clients and pages are
// looked at. All others run in both. Whoever names a file gets it in either.
const ONE_WAY = {
  services: [
    'access-table',
    'anaconda-flows',
    'bus-assertions',
    'bus-rights',
    'crash-steps',
    'forgetting',
    'grants',
    'organizations',
    'outages',
    'outages-s3',
    'overtaken',
    'privacy',
    'restricted-tokens',
    'spans',
    'storm',
    'stranger-sweep',
    'tickets',
    'transfer',
    'upkeep',
  ],
  all: [
    'anaconda-contract',
    'bad-input',
    'browser',
    'browser-consent',
    'browser-login',
    'channeldata',
    'clients-page',
    'durable',
    'edges',
    'every-route',
    'explain',
    'forgetting-proxy',
    'full-disk',
    'older-clients',
    'other-clients',
    'stranger-sweep-timing',
  ],
};
// A test file that comes in a run of its own (scripts/test.mjs).
const later = process.env.VIVARIUM_LEAVE_OUT
  ? [`/services/platform/e2e/${process.env.VIVARIUM_LEAVE_OUT}\\.spec\\.ts$`]
  : [];
const isNamed = process.argv.some((argument) => /\.spec|e2e\//.test(argument));
const otherWay = process.env.VIVARIUM_TARGET === 'services' ? ONE_WAY.all : ONE_WAY.services;
const leftOut =
  suite === 'e2e' && !isNamed ? otherWay.map((name) => `/services/platform/e2e/${name}\\.spec\\.ts$`) : [];

// What the product says over a whole run is searched for the run's secrets at its end.
const WHOLE_RUN = {
  globalSetup: '<rootDir>/scripts/run-record.config.mjs',
  globalTeardown: '<rootDir>/scripts/run-record-end.config.mjs',
  testSequencer: '<rootDir>/scripts/spec-order.config.mjs',
};

// Sources are tested as they are: SWC transpiles, workspace imports resolve to sources by the `source` condition.
export default {
  testEnvironment: 'node',
  // These machines are noisy: a slow test is no wrong one.
  testTimeout: 30_000,
  testEnvironmentOptions: { customExportConditions: ['source', 'node'] },
  roots: ['<rootDir>/libs', '<rootDir>/services', '<rootDir>/scripts'],
  testMatch: [`${folders[suite] ?? ''}**/*.spec.ts`],
  testPathIgnorePatterns: ['/node_modules/', ...(suite === 'unit' ? Object.values(folders) : []), ...leftOut, ...later],
  modulePathIgnorePatterns: ['<rootDir>/(libs|services)/[^/]+/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transformIgnorePatterns: ['/node_modules/(?!@vivarium)'],
  ...(suite === 'e2e' || suite === 'all' ? WHOLE_RUN : {}),
  transform: { '^.+\\.ts$': ['@swc/jest', swcOptions] },
};
