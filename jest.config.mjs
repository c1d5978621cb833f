import { swcOptions } from './scripts/swc-options.mjs';

// VIVARIUM_SUITE narrows what is found: `unit` is everything that does not start the whole product, `e2e` is what does, and
// `long` what takes too long to be run each time.
const suite = process.env.VIVARIUM_SUITE ?? 'all';
const endToEnd = '<rootDir>/services/platform/e2e/';
const longForms = '<rootDir>/services/platform/long/';
const folders = { e2e: endToEnd, long: longForms };

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
  testPathIgnorePatterns: ['/node_modules/', ...(suite === 'unit' ? Object.values(folders) : [])],
  modulePathIgnorePatterns: ['<rootDir>/(libs|services)/[^/]+/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transformIgnorePatterns: ['/node_modules/(?!@vivarium)'],
  ...(suite === 'e2e' || suite === 'all' ? WHOLE_RUN : {}),
  transform: { '^.+\\.ts$': ['@swc/jest', swcOptions] },
};
