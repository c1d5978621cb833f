import { isToken, type ParsedToken, parseToken } from './format.js';

// Looked for at every place of the text: what begins inside a text that only resembles a token is not passed over.
const ANYWHERE = /(?=(viv-[a-z0-9]{32}-[a-z0-9]{6}))/g;

/**
 * The tokens in a text, each once and in their order: in an address, a line of a log, a file of settings. Only whole ones,
 * by their checksum. Empty for a text that holds none.
 */
export function tokensIn(text: string): readonly ParsedToken[] {
  const found = [...text.matchAll(ANYWHERE)].map(([, token = '']) => token);
  return [...new Set(found)].filter(isToken).map(parseToken);
}
