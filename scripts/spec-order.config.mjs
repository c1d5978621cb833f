// These take a minute or two, most of it waiting: begun first, they end while others run.
const LONG = ['outages', 'overtaken', 'crash-steps', 'stranger-sweep', 'forgetting', 'outages-s3', 'storm'];

/** The long specs first, then by name; and last, if it is among them, the one that looks at what all others left. */
export default class SpecOrder {
  sort(tests) {
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

function rankOf({ path }) {
  const name = /([^/\\]+)\.spec\.ts$/.exec(path)?.[1] ?? '';
  if (name === 'whole-run') return LONG.length + 1;
  const long = LONG.indexOf(name);
  return long === -1 ? LONG.length : long;
}
