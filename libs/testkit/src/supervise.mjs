// Runs one server for the tests: node supervise.mjs FOLDER SIGNAL COMMAND ARGUMENTS…
// It stops the server with SIGNAL and removes FOLDER as soon as its standard input closes. A test process holds the other
// end, so nothing is left running or lying about even if that process is killed.
// The message {signal, downMs} ends the server so and starts it again after that time, and is answered once it has been.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

const [folder, signal, command, ...parameters] = process.argv.slice(2);
let isEnding = false;
let onExit = finish;
let child = begin();

process.on('message', ({ signal: how, downMs }) => {
  if (isEnding) return;
  onExit = () => {
    onExit = finish;
    process.send('down');
    setTimeout(() => {
      if (isEnding) return finish(0);
      child = begin();
      process.send('up');
    }, downMs);
  };
  child.kill(how);
});
process.stdin.resume();
process.stdin.on('close', stop);
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, stop);

function begin() {
  const started = spawn(command, parameters, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  started.on('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    finish(1);
  });
  started.on('exit', (code) => onExit(code ?? 0));
  return started;
}

function stop() {
  isEnding = true;
  onExit = finish;
  // Between two lives there is nothing to stop.
  if (child.exitCode !== null || child.signalCode !== null) finish(0);
  child.kill(signal);
  setTimeout(() => child.kill('SIGKILL'), 5_000).unref();
}

function finish(code) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  process.exit(code);
}
