// Generates the typed database client of every service that has a `prisma/schema.prisma`, without a network:
// nothing here needs Prisma's native engine, which it would download, so it is given a program that does nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const prisma = createRequire(join(root, 'package.json')).resolve('prisma/build/index.js');
const engine = ['/bin/true', '/usr/bin/true'].find((program) => existsSync(program)) ?? process.execPath;

for (const schema of globSync('services/*/prisma/schema.prisma', { cwd: root }).sort()) {
  const service = dirname(dirname(schema));
  // A model that was removed leaves no file behind.
  rmSync(join(root, service, 'src', 'gen', 'prisma'), { recursive: true, force: true });
  const { status } = spawnSync(process.execPath, [prisma, 'generate', '--no-hints', '--schema', schema], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: engine,
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
    },
  });
  if (status !== 0) process.exit(status ?? 1);
}
