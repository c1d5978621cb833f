/** A reason as a sentence. One form for all who refuse: two would tell apart what must be one answer. */
export function sentenceOf(reason: string): string {
  return `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}.`;
}
