// Runs one server for the tests: node supervise.mjs FOLDER SIGNAL COMMAND ARGUMENTS…
// It stops the server with SIGNAL and removes FOLDER as soon as its standard input closes. A test process holds the other
// end, so nothing is left running or lying about even if that process is killed.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

const [folder, signal, command, ...parameters] = process.argv.slice(2);
const child = spawn(command, parameters, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });

child.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  finish(1);
});
child.on('exit', (code) => finish(code ?? 0));

process.stdin.resume();
process.stdin.on('close', stop);
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, stop);

function stop() {
  child.kill(signal);
  setTimeout(() => child.kill('SIGKILL'), 5_000).unref();
}

function finish(code) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  process.exit(code);
}
