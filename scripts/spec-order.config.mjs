/** Specs one after the other by name, and last the one that looks at what all others left. */
export default class SpecOrder {
  sort(tests) {
    const rankOf = ({ path }) => (path.endsWith('/whole-run.spec.ts') ? 1 : 0);
    return [...tests].sort((one, other) => rankOf(one) - rankOf(other) || one.path.localeCompare(other.path));
  }

  shard(tests) {
    return tests;
  }

  allFailedTests(tests) {
    return tests;
  }

  cacheResults() {}
}
