export const tokens = 'tokens';
