import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Watchdog } from './watchdog.js';

const FOREVER = ['-e', 'setInterval(() => undefined, 1000)'];

it('ends what it guards and removes its folders when nobody holds it any more', async () => {
  const watchdog = new Watchdog();
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-watchdog-'));
  await writeFile(join(folder, 'file'), 'x');
  const child = spawn(process.execPath, FOREVER, { stdio: 'ignore' });
  const exited = once(child, 'exit');
  watchdog.guard({ pid: child.pid ?? 0 });
  watchdog.guard({ folder });
  await watchdog.release();
  expect(await exited).toEqual([null, 'SIGKILL']);
  expect(existsSync(folder)).toBe(false);
}, 15_000);

it('may be let go of twice, as by a start that failed', async () => {
  const watchdog = new Watchdog();
  await watchdog.release();
  await expect(watchdog.release()).resolves.toBeUndefined();
}, 15_000);

it('leaves alone what has ended by itself, whose number may be another process by now', async () => {
  const watchdog = new Watchdog();
  const child = spawn(process.execPath, FOREVER, { stdio: 'ignore' });
  const exited = once(child, 'exit');
  watchdog.guard({ pid: child.pid ?? 0 });
  watchdog.forget(child.pid ?? 0);
  await watchdog.release();
  expect(child.exitCode).toBeNull();
  child.kill();
  await exited;
}, 15_000);

it('does so when the process that holds it is killed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-watchdog-'));
  const script = join(import.meta.dirname, 'clean-up.mjs');
  const holder = spawn(
    process.execPath,
    [
      '-e',
      `const { spawn } = require('node:child_process');
       const dog = spawn(process.execPath, [${JSON.stringify(script)}], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
       dog.stdin.write('folder ' + ${JSON.stringify(folder)} + '\\n', () => console.log('ready'));
       setInterval(() => undefined, 1000);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  try {
    await once(holder.stdout, 'data');
    holder.kill('SIGKILL');
    const deadline = performance.now() + 5_000;
    while (existsSync(folder) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(existsSync(folder)).toBe(false);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 15_000);
