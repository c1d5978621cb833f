#!/usr/bin/env node
// The command `vivarium` of a checkout: `npx vivarium --help`. `npm start` and `npm test` build what it runs.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (!existsSync(main)) {
  process.stderr.write('Nothing is built yet. Run "npm start" once, or "npm run build".\n');
  process.exit(1);
}
await import(main.href);
