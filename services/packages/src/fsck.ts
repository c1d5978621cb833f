import { Fault } from '@vivarium/fault/fault';
import { checkBlobs } from './fsck-blobs.js';
import { checkChannel } from './fsck-channel.js';
import { checkFiles } from './fsck-files.js';
import type { Checked, CheckOptions, CheckPorts } from './fsck-options.js';

/**
 * Compares what the service keeps with itself and with the blob store, page by page, while everything goes on: what looks
 * wrong is looked at once more, and only what is still wrong counts. Throws Fault('not_found') for an unknown channel.
 */
export async function check(ports: CheckPorts, options: CheckOptions): Promise<Checked> {
  const { channelId, after } = options;
  if (channelId === '') return checkBlobs(ports, options);
  if (after === '') return { ...(await checkChannel(ports, options)), next: 'files/' };
  if (!after.startsWith('files/')) throw new Fault('invalid', `"${after.slice(0, 80)}" is not a cursor.`);
  const page = await checkFiles(ports, { ...options, after: after.slice('files/'.length) });
  return { ...page, next: page.next === '' ? '' : `files/${page.next}` };
}
