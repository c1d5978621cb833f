import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';

export const read = readFileSync;
export const hash = createHash;
