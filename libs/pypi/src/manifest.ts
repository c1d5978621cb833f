import type { Audience } from '@vivarium/access/audience';
import { isAudience } from '@vivarium/access/audience';
import { Fault } from '@vivarium/fault/fault';

/**
 * Which projects one (channel, label) holds, cut by audience: an immutable object named by its own hash. A project's page is
 * one object for all who may see it; only the list of projects is put together for each view.
 */
export interface PypiManifest {
  /** Sorted by audience id; none is empty. */
  readonly parts: readonly PypiManifestPart[];
}

export interface PypiManifestPart {
  readonly audience: Audience;
  /** Normalised project name → its pages, sorted by name. */
  readonly projects: Readonly<Record<string, ProjectPages>>;
}

/** SHA-256 (hex) of a page's bytes, plain and gzipped, in both formats. */
export interface ProjectPages {
  readonly json: string;
  readonly jsonGzip: string;
  readonly html: string;
  readonly htmlGzip: string;
}

/** The bytes of a manifest: the same for equal content. */
export function encodePypiManifest(manifest: PypiManifest): Uint8Array {
  const parts = [...manifest.parts]
    .sort((a, b) => compare(a.audience.id, b.audience.id))
    .map(({ audience, projects }) => ({
      audience: { id: audience.id, visibility: audience.visibility, principals: audience.principals },
      projects: Object.fromEntries(
        Object.entries(projects)
          .sort(([a], [b]) => compare(a, b))
          .map(([name, { json, jsonGzip, html, htmlGzip }]) => [name, { json, jsonGzip, html, htmlGzip }]),
      ),
    }));
  return Buffer.from(JSON.stringify({ version: 1, parts }));
}

/** The manifest in bytes that `encodePypiManifest` gave. Throws Fault('internal') for others. */
export function decodePypiManifest(bytes: Uint8Array): PypiManifest {
  const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<PypiManifest> & { version?: unknown };
  if (value.version === 1 && Array.isArray(value.parts)) {
    if (value.parts.every((part: PypiManifestPart) => isAudience(part.audience))) return { parts: value.parts };
  }
  throw new Fault('internal', 'An index cannot be read at the moment.', { cause: new Error('not a pypi manifest') });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
