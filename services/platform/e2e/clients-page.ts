import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/** Lines that work, or lines that are refused with a wrong token and what the client says then. */
export interface PageBlock {
  /** Heading of the section. */
  readonly section: string;
  readonly commands: readonly string[];
  /** Undefined: the commands succeed. Else what one of them says, with `…` for anything. */
  readonly refusal: string | undefined;
}

const BLOCK = /<!-- (run|refused) -->\n```sh\n([\s\S]*?)```\n(?:```text\n([\s\S]*?)```\n)?/g;

/** The marked blocks of the page about clients, in order. */
export function clientBlocks(page = readPage()): readonly PageBlock[] {
  return page.split(/^## /m).flatMap((part) => {
    const section = part.slice(0, part.indexOf('\n'));
    return [...part.matchAll(BLOCK)].map(([, mark, commands = '', refusal]) => {
      if ((mark === 'refused') !== (refusal !== undefined))
        throw new Error(`a block of ${section} lacks its other half`);
      return { section, commands: commands.trim().split('\n'), refusal: refusal?.trim() };
    });
  });
}

/** True if something says this, wherever it breaks its lines and whatever stands for `…`. */
export function says(said: string, quoted: string): boolean {
  // Colours and broken lines are the terminal's.
  const plain = (text: string) => stripVTControlCharacters(text).replace(/\s+/g, ' ');
  let rest = plain(said);
  for (const piece of plain(quoted).split('…')) {
    const at = rest.indexOf(piece.trim());
    if (at < 0) return false;
    rest = rest.slice(at + piece.trim().length);
  }
  return true;
}

function readPage(): string {
  return readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
}
