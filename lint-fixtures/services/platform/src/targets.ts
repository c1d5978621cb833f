import { views } from '../../authz/src/views.js';
import { tokens } from '../../identity/src/tokens.js';

export const targets = [views, tokens];
