// Ends what a test process started, if that process dies first: node clean-up.mjs
// It is told, a line each: `pid N` (kill it at the end), `gone N` (it has ended), `folder PATH` (remove it at the end),
// `mount PATH` (unmount it before that).
// The end is when its standard input closes. The test process holds the other end, however it ends.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

const pids = new Set();
const folders = new Set();
const mounts = new Set();

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [word, value] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
    if (word === 'pid') pids.add(Number(value));
    if (word === 'gone') pids.delete(Number(value));
    if (word === 'folder') folders.add(value);
    if (word === 'mount') mounts.add(value);
  })
  .on('close', () => {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It had ended.
      }
    }
    // A database ends with the process that started it, a moment later.
    setTimeout(remove, pids.size > 0 ? 3_000 : 0);
  });
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => undefined);

function remove() {
  // Lazily: what is still open there must not keep it.
  for (const mount of mounts) spawnSync('umount', ['-l', mount]);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
