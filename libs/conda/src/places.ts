import { Fault } from '@vivarium/fault/fault';
import { foldedName } from './folded.js';

/**
 * Where the entries of an archive come to lie, so that none gets in another's way: the same name twice, an entry below one
 * that is no directory (it would be written through a link, to wherever that points), or a link whose path climbs back from
 * behind another link, which leads elsewhere than the text of the path says.
 */
export class Places {
  readonly #maxMembers: number;
  readonly #entries = new Map<string, 'file' | 'directory' | 'link' | 'symlink'>();
  readonly #parents = new Set<string>();
  readonly #climbing: (readonly [name: string, target: string])[] = [];
  /** Folded names of links that are no mere other spelling of what they lead to. */
  readonly #foldedLinks = new Set<string>();

  constructor(maxMembers: number) {
    this.#maxMembers = maxMembers;
  }

  /** How many entries were added. */
  get members(): number {
    return this.#entries.size;
  }

  /** Adds an entry. Throws Fault('invalid') if its name is taken or leads through something else than directories. */
  add(name: string, kind: 'file' | 'directory' | 'link' | 'symlink', target: string): void {
    if (this.#entries.has(name)) throw bad(`${shown(name)} is in it twice`);
    if (kind !== 'directory' && this.#parents.has(name)) throw both(name);
    this.#entries.set(name, kind);
    this.#addParents(name);
    if (kind === 'symlink' && target.includes('..')) this.#climbing.push([name, target]);
    if (kind === 'symlink') this.#addLink(name, target);
    // Parents count too: an entry of many segments costs as much as many entries.
    if (this.#entries.size + this.#parents.size > 2 * this.#maxMembers || this.#entries.size > this.#maxMembers) {
      throw bad(`it has more than ${this.#maxMembers} entries`);
    }
  }

  /**
   * Throws Fault('invalid') if a symbolic link climbs from behind another one, or if some systems take it for a directory that
   * other entries lie in. For when all entries are known.
   */
  end(): void {
    for (const parent of this.#foldedLinks.size === 0 ? [] : this.#parents) {
      if (!this.#foldedLinks.has(foldedName(parent))) continue;
      throw bad(`some systems cannot tell the directory ${shown(parent)} from a link`);
    }
    for (const [name, target] of this.#climbing) {
      if (this.#detours(name, target)) {
        throw bad(`the link ${shown(name)} climbs back from behind another link, to ${shown(target)}`);
      }
    }
  }

  // `Foo -> foo` beside a directory `foo` leads nowhere else where case does not count, and real packages have it.
  #addLink(name: string, target: string): void {
    const folded = foldedName(name);
    const beside = `${name.slice(0, name.lastIndexOf('/') + 1)}${target.replace(/\/$/, '')}`;
    if (foldedName(beside) !== folded) this.#foldedLinks.add(folded);
  }

  #addParents(name: string): void {
    for (let at = name.lastIndexOf('/'); at > 0; at = name.lastIndexOf('/', at - 1)) {
      const parent = name.slice(0, at);
      const kind = this.#entries.get(parent);
      if (kind !== undefined && kind !== 'directory') throw both(parent);
      // A parent that is known has had its own parents looked at.
      if (this.#parents.has(parent)) return;
      this.#parents.add(parent);
    }
  }

  #detours(name: string, target: string): boolean {
    const at = name.split('/').slice(0, -1);
    let throughLink = false;
    for (const segment of target.split(/[\\/]/)) {
      if (segment === '..') {
        if (throughLink) return true;
        at.pop();
      } else if (segment !== '.' && segment !== '') {
        at.push(segment);
        throughLink ||= this.#entries.get(at.join('/')) === 'symlink';
      }
    }
    return false;
  }
}

function both(name: string): Fault {
  return bad(`${shown(name)} is a directory for one entry and something else by its own`);
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 120));
}

function bad(reason: string): Fault {
  return new Fault('invalid', `The package's tar cannot be accepted: ${reason}. Build the package again.`);
}
