import { Fault, isFault } from '@vivarium/fault/fault';

/**
 * Reads what was received of a file. Throws Fault('conflict') with what to do if it is not there any more: its publisher
 * knows nothing of the key under which it was.
 */
export async function readReceived<T>(filename: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!isFault(error) || error.code !== 'not_found') throw error;
    const sentence = `The bytes of ${filename} are not here any more: start the upload again.`;
    throw new Fault('conflict', sentence, { cause: error });
  }
}
