// What shows nothing and what HFS+ leaves out when it compares names.
const IGNORED = /\p{Default_Ignorable_Code_Point}/gu;

/**
 * The name of an archive's member as file systems of macOS and Windows may compare it: without case, in one Unicode form,
 * without characters that show nothing, and each segment without what Windows drops from it, which are dots and blanks at its
 * end and anything behind a colon. Two names that fold to one may be one file there, whichever of them was judged.
 */
export function foldedName(name: string): string {
  if (/^[a-z0-9_/-]*$/.test(name)) return name;
  const plain = name.normalize('NFKC').replace(IGNORED, '').toUpperCase().toLowerCase();
  return plain.split('/').map(withoutEnd).join('/');
}

function withoutEnd(segment: string): string {
  const colon = segment.indexOf(':');
  let end = colon < 0 ? segment.length : colon;
  while (segment[end - 1] === '.' || segment[end - 1] === ' ') end -= 1;
  return segment.slice(0, end);
}
