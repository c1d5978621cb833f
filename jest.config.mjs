import { swcOptions } from './scripts/swc-options.mjs';

// VIVARIUM_SUITE narrows what is found: `unit` is everything that does not start the whole product, `e2e` is the rest.
const suite = process.env.VIVARIUM_SUITE ?? 'all';
const endToEnd = '<rootDir>/services/platform/e2e/';

// Sources are tested as they are: SWC transpiles, workspace imports resolve to sources by the `source` condition.
export default {
  testEnvironment: 'node',
  // These machines are noisy: a slow test is no wrong one.
  testTimeout: 30_000,
  testEnvironmentOptions: { customExportConditions: ['source', 'node'] },
  roots: ['<rootDir>/libs', '<rootDir>/services', '<rootDir>/scripts'],
  testMatch: suite === 'e2e' ? [`${endToEnd}**/*.spec.ts`] : ['**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...(suite === 'unit' ? [endToEnd] : [])],
  modulePathIgnorePatterns: ['<rootDir>/(libs|services)/[^/]+/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transformIgnorePatterns: ['/node_modules/(?!@vivarium)'],
  transform: { '^.+\\.ts$': ['@swc/jest', swcOptions] },
};
