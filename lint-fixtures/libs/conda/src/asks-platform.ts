import { open } from '../../db/src/open.js';

export const rows = open;
