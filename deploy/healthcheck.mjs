// Asks this container's own process whether it is ready; the exit code is the answer.
const address = `http://127.0.0.1:${process.env.PORT || 8080}/health/ready`;
try {
  const answer = await fetch(address, { signal: AbortSignal.timeout(3000) });
  if (!answer.ok) console.error(`${address} answered ${answer.status}: ${(await answer.text()).slice(0, 500)}`);
  process.exitCode = answer.ok ? 0 : 1;
} catch (error) {
  console.error(`${address} did not answer: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
