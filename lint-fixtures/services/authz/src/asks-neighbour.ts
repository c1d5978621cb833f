import { tokens } from '../../identity/src/tokens.js';

export const rows = tokens;
