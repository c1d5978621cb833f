import { views } from '../../../services/authz/src/views.js';
import { tokens } from '../../../services/identity/src/tokens.js';

export const all = [views, tokens];
