// Loaded into what launch.mjs starts: when the launcher is killed outright, the product drains instead of staying behind.
// Its own children (test workers, worker threads) inherit the flag but not the leash.
if (process.channel !== undefined && process.env.VIVARIUM_LAUNCHER === String(process.ppid)) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}
