import { Fault } from '@vivarium/fault/fault';

const MAX_PATH_LENGTH = 1024;
const MAX_DEPTH = 64;

/**
 * Throws Fault('invalid') unless the path names a place below the folder that an archive is unpacked into, on every
 * system: relative, without `.`, `..` or empty segments, backslashes, drive letters and control characters.
 * A single trailing slash, which marks a folder, is allowed.
 */
export function requireMemberPath(path: string): void {
  const reason = reasonAgainst(path);
  if (reason === undefined) return;
  throw new Fault(
    'invalid',
    `The archive holds the member ${JSON.stringify(path.slice(0, 200))}, which ${reason}. Rename it and build again.`,
  );
}

function reasonAgainst(path: string): string | undefined {
  if (path.length > MAX_PATH_LENGTH) return `is longer than ${MAX_PATH_LENGTH} characters`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[\x00-\x1f\x7f]/.test(path)) return 'holds a control character';
  if (path.includes('\\')) return 'holds a backslash';
  if (path.startsWith('/')) return 'is an absolute path';
  if (/^[A-Za-z]:/.test(path)) return 'begins with a drive letter';
  const segments = path.replace(/\/$/, '').split('/');
  if (segments.length > MAX_DEPTH) return `lies more than ${MAX_DEPTH} folders deep`;
  if (segments.includes('..')) return 'leaves its folder with ".."';
  if (segments.includes('.') || segments.includes('')) return 'has an empty or "." segment';
  return undefined;
}

/**
 * Refuses archives whose members get into each other's way: the same path twice, or a file where another member needs
 * a folder. Which of the two wins would depend on the tool that unpacks.
 */
export class MemberPaths {
  private readonly files = new Set<string>();
  private readonly folders = new Set<string>();

  /** Takes a path that passed requireMemberPath. Throws Fault('invalid') if it is in the way of an earlier one. */
  addFile(path: string): void {
    if (this.files.has(path) || this.folders.has(path)) throw twice(path);
    this.files.add(path);
    this.addParents(path);
  }

  /** As addFile, for a folder, with or without its trailing slash. */
  addFolder(path: string): void {
    const folder = path.replace(/\/$/, '');
    if (this.files.has(folder)) throw twice(folder);
    this.folders.add(folder);
    this.addParents(folder);
  }

  private addParents(path: string): void {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at);
      if (this.files.has(folder)) throw twice(folder);
      // A folder that is known has had its own parents looked at.
      if (this.folders.has(folder)) return;
      this.folders.add(folder);
    }
  }
}

function twice(path: string): Fault {
  return new Fault(
    'invalid',
    `The archive holds ${JSON.stringify(path.slice(0, 200))} twice, or as both file and folder. Keep one and build again.`,
  );
}
