/** What a client says of itself, for people to read. Never a reason to refuse, so it is made printable and cut to size. */
export function noteOf(text: string, lengthMax: number): string {
  return text.replace(/\p{C}/gu, ' ').trim().slice(0, lengthMax).toWellFormed();
}
