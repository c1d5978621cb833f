import { type ClientOptions, type ClientResult, runClient } from '@vivarium/testkit/clients';
import { hasPython, venvBin } from '@vivarium/testkit/programs';

/** True if the Python clients are on this machine. */
export const PYTHON_IS_HERE = hasPython();

/** For the note about what was left out. */
export const PYTHON_IS_MISSING = 'the Python clients are not installed (.ci/install.sh does)';

/** Runs a Python client that must be there. */
export function python(name: string, parameters: readonly string[], options?: ClientOptions): Promise<ClientResult> {
  const program = venvBin(name);
  if (program === undefined) throw new Error(`${name} is not installed`);
  return runClient(program, parameters, options);
}

/** As `python`; throws an Error with everything it said unless it ended well. */
export async function pythonOk(
  name: string,
  parameters: readonly string[],
  options?: ClientOptions,
): Promise<ClientResult> {
  const result = await python(name, parameters, options);
  if (result.code === 0) return result;
  throw new Error(`${name} ${parameters.join(' ')} ended with ${result.code}:\n${result.stdout}\n${result.stderr}`);
}

export type Format = 'shards' | 'zst' | 'json';

/**
 * Solves and installs with py-rattler from one format of the index into `prefix`; prints the names of the records as JSON.
 * Arguments: channel URL, format, prefix, specs…
 */
const RATTLER_INSTALL = `
import asyncio, json, os, sys
from rattler import Gateway, SourceConfig, install, solve

async def main(channel, format, prefix, *specs):
    config = SourceConfig(sharded_enabled=format == "shards", zstd_enabled=format == "zst", bz2_enabled=False)
    gateway = Gateway(cache_dir=prefix + "-cache", default_config=config)
    records = await solve(sources=[channel], specs=list(specs), gateway=gateway, platforms=["linux-64", "noarch"])
    await install(records, target_prefix=prefix, cache_dir=prefix + "-packages", show_progress=False)
    print(json.dumps(sorted(record.file_name for record in records)), flush=True)
    # Its threads sometimes crash the interpreter while that ends, when all is done.
    os._exit(0)

asyncio.run(main(*sys.argv[1:]))
`;

/** Installs with py-rattler. Gives the names of the installed files; throws an Error with the client's words. */
export async function rattlerInstall(
  specs: readonly string[],
  channel: string,
  format: Format,
  prefix: string,
  options?: ClientOptions,
): Promise<readonly string[]> {
  const { stdout } = await pythonOk('python', ['-c', RATTLER_INSTALL, channel, format, prefix, ...specs], options);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as string[];
}
