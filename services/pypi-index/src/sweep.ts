import { IndexSweep } from '@vivarium/indexing/index-sweep';
import { startsLikePypi } from '@vivarium/indexing/object-sweep';
import type { PypiIndexPorts } from './ports.js';

/** The sweep of Python indexes: objects that no row names. */
export function pypiSweep(ports: PypiIndexPorts): IndexSweep {
  return new IndexSweep({
    ...ports,
    graceMs: ports.config?.sweepGraceMs,
    named: NAMED,
    isOwn: startsLikePypi,
    sweepRows: async () => [],
  });
}

// Whole tables: few objects are asked for, and an index on four hashes would cost every publish.
export const NAMED = `SELECT page.hash FROM projects, unnest(ARRAY[json_hash, json_gzip_hash, html_hash, html_gzip_hash]) AS page (hash)
WHERE page.hash = ANY($1)
UNION SELECT manifest_hash FROM heads WHERE manifest_hash = ANY($1)`;
