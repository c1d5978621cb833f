import { nothing } from './no-such-file.js';

export const found = nothing;
