import type { Audience } from '@vivarium/access/audience';
import type { ProjectPages, PypiManifest } from '@vivarium/pypi/manifest';

/** A project where it is: in the part of its audience. */
export interface Listed {
  readonly name: string;
  readonly audience: Audience;
  readonly pages: ProjectPages;
}

/** The projects of one label of a channel. */
export class LabelIndex {
  readonly #projects = new Map<string, Omit<Listed, 'name'>>();
  #isChanged = false;

  constructor(projects: Iterable<Listed> = []) {
    for (const { name, audience, pages } of projects) this.#projects.set(name, { audience, pages });
  }

  get size(): number {
    return this.#projects.size;
  }

  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** True if the project is there with these pages and this audience; with none given, if it is not there. */
  shows(name: string, listed: Listed | undefined): boolean {
    const there = this.#projects.get(name);
    if (there === undefined || listed === undefined) return there === listed;
    return there.audience.id === listed.audience.id && isSame(there.pages, listed.pages);
  }

  /** What the project is from now on; nothing if it is gone. */
  set(name: string, listed: Listed | undefined): void {
    this.#isChanged = true;
    if (listed === undefined) this.#projects.delete(name);
    else this.#projects.set(name, { audience: listed.audience, pages: listed.pages });
  }

  /** Counts as unchanged from now on. */
  settle(): void {
    this.#isChanged = false;
  }

  manifest(): PypiManifest {
    const parts = new Map<string, { audience: Audience; projects: Record<string, ProjectPages> }>();
    for (const [name, { audience, pages }] of this.#projects) {
      const part = parts.get(audience.id) ?? { audience, projects: {} };
      part.projects[name] = pages;
      parts.set(audience.id, part);
    }
    return { parts: [...parts.values()] };
  }
}

export function isSame(a: ProjectPages, b: ProjectPages): boolean {
  return a.json === b.json && a.jsonGzip === b.jsonGzip && a.html === b.html && a.htmlGzip === b.htmlGzip;
}
