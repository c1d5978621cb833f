import { tokens } from '../../../services/identity/src/tokens.js';

export const rows = tokens;
