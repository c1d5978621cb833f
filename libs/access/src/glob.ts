/**
 * True if the whole name matches the glob: `*` stands for any run of characters, `?` for one, all else for itself.
 * Takes at most (length of glob × length of name) steps, whatever the glob.
 */
export function matchesGlob(glob: string, name: string): boolean {
  return matches(glob, name, (letter, other) => letter === '?' || letter === other);
}

/**
 * True if everything that matches `glob` matches `than`. Never wrongly true; a few exotic pairs are wrongly false, which
 * only refuses to mint a token.
 */
export function isNarrowerGlob(glob: string, than: string): boolean {
  // The narrower glob is read as a name whose `*` only a `*` may cover, and whose `?` only a `?` or a `*`.
  return matches(normaliseGlob(than), normaliseGlob(glob), (letter, other) =>
    letter === '?' ? other !== '*' : letter === other,
  );
}

/** The glob with its letters lower-cased and each run of wildcards in one order, so that equal globs are equal texts. */
export function normaliseGlob(glob: string): string {
  return glob
    .toLowerCase()
    .replace(/[*?]+/g, (run) => '?'.repeat(run.replaceAll('*', '').length) + (run.includes('*') ? '*' : ''));
}

function matches(glob: string, name: string, covers: (letter: string, other: string) => boolean): boolean {
  let [inGlob, inName, star, retry] = [0, 0, -1, 0];
  while (inName < name.length) {
    // A star is a wildcard even where the name has a star of its own.
    if (glob[inGlob] === '*') {
      star = inGlob++;
      retry = inName;
    } else if (inGlob < glob.length && covers(glob.charAt(inGlob), name.charAt(inName))) {
      inGlob++;
      inName++;
    } else if (star >= 0) {
      inGlob = star + 1;
      inName = ++retry;
    } else {
      return false;
    }
  }
  while (glob[inGlob] === '*') inGlob++;
  return inGlob === glob.length;
}
