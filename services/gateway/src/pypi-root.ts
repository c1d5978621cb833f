import { createHash } from 'node:crypto';
import { belongs, sees, type View, viewKey } from '@vivarium/access/view';
import type { PypiManifest } from '@vivarium/pypi/manifest';
import { LRUCache } from 'lru-cache';
import { inSlices } from './slices.js';

/** The list of projects that a view shows. */
export interface PypiRoot {
  /** Sorted. */
  readonly names: readonly string[];
  /** Changes with what this view shows and with nothing else. */
  readonly fingerprint: string;
}

// Views of a manifest that are in use; it goes when the manifest does.
const roots = new WeakMap<PypiManifest, LRUCache<string, Promise<PypiRoot>>>();
const MAX_VIEWS = 200;

/** What a caller sees of the list of projects, made once for all who see the same. */
export function pypiRootOf(manifest: PypiManifest, view: View, incarnation: string): Promise<PypiRoot> {
  const known = roots.get(manifest) ?? new LRUCache<string, Promise<PypiRoot>>({ max: MAX_VIEWS });
  roots.set(manifest, known);
  const audiences = manifest.parts.map(({ audience }) => audience);
  const key = viewKey(view, audiences, incarnation);
  const made = known.get(key) ?? makeRoot(manifest, view, key);
  known.set(key, made);
  return made;
}

async function makeRoot(manifest: PypiManifest, view: View, key: string): Promise<PypiRoot> {
  const breathe = inSlices();
  const names: string[] = [];
  for (const { audience, projects } of manifest.parts) {
    if (!belongs(view, audience)) continue;
    for (const name of Object.keys(projects)) {
      if (sees(view, { audience, name })) names.push(name);
      await breathe();
    }
  }
  names.sort();
  const hash = createHash('sha256').update(key);
  for (const name of names) hash.update(` ${name}`);
  return { names, fingerprint: hash.digest('hex').slice(0, 40) };
}
