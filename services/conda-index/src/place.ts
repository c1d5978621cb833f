/** One directory of a label of a channel: what a manifest describes. */
export interface Place {
  readonly label: string;
  readonly subdir: string;
}

/** A text that names a place. A subdir holds no blank. */
export function placeKey({ label, subdir }: Place): string {
  return `${subdir} ${label}`;
}
