export const open = 'a database';
