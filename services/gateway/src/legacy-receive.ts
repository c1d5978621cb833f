import type { IncomingMessage } from 'node:http';
import type { Blobs } from '@vivarium/blobs/blobs';
import { Fault } from '@vivarium/fault/fault';
import type { Blake2Thread } from './legacy-blake2.js';
import { checkFields, digestsIn, FORM_FIELDS, filenameIn, parseUploadForm, type UploadForm } from './legacy-form.js';
import { agree, damaged, type StagedBytes, stageBytes } from './uploads-bytes.js';
import { type FormFile, readForm } from './uploads-form.js';

/** A file that came with its form, and agrees with it as far as one can see from outside. */
export interface ReceivedUpload {
  readonly form: UploadForm;
  readonly filename: string;
  readonly staged: StagedBytes;
}

interface Staged {
  readonly filename: string;
  readonly staged: StagedBytes;
  /** Undefined if the form had not asked for it when the file came. */
  readonly blake2: string | undefined;
}

// Twice as many as the longest list of classifiers and requirements that was ever seen.
const MAX_FIELDS = 5_000;

/** Receives an upload as Python's clients send it. When it throws, nothing is left of it. */
export async function receiveUpload(
  request: IncomingMessage,
  blobs: Blobs,
  hasher: Blake2Thread,
  maxBytes: number,
): Promise<ReceivedUpload> {
  let held: string | undefined;
  try {
    const { fields, received } = await readForm(request, {
      filePart: 'content',
      fields: FORM_FIELDS,
      maxFields: MAX_FIELDS,
      maxBytes,
      receive: async (file, before) => {
        const staged = await stageFile(file, before, blobs, hasher, maxBytes);
        held = staged.staged.stagingKey;
        return staged;
      },
    });
    const form = parseUploadForm(fields);
    if (received === undefined) throw new Fault('invalid', 'Upload payload does not have a file.');
    await checkDigests(form, received, blobs, hasher);
    return { form, filename: received.filename, staged: received.staged };
  } catch (error) {
    if (held !== undefined) await blobs.delete(held);
    throw error;
  }
}

async function stageFile(
  file: FormFile,
  before: ReadonlyMap<string, string>,
  blobs: Blobs,
  hasher: Blake2Thread,
  maxBytes: number,
): Promise<Staged> {
  checkFields(before);
  const filename = filenameIn(file.filename);
  const { sha256, md5, blake2 } = digestsIn(before);
  // Only for those who ask: it costs more than everything else together.
  const hash = blake2 === undefined ? undefined : hasher.begin();
  try {
    const staged = await stageBytes(blobs, file.chunks, { maxBytes, sha256, md5 }, (chunk) => hash?.update(chunk));
    return { filename, staged, blake2: await hash?.digest() };
  } catch (error) {
    hash?.abandon();
    throw error;
  }
}

/** Fields may stand behind the file, and are as good there. */
async function checkDigests(
  { digests }: UploadForm,
  { staged, blake2 }: Staged,
  blobs: Blobs,
  hasher: Blake2Thread,
): Promise<void> {
  agree({ sha256: digests.sha256, md5: digests.md5 }, staged);
  if (digests.blake2 === undefined) return;
  const got = blake2 ?? (await hashAgain(staged, blobs, hasher));
  if (got !== digests.blake2) throw damaged('blake2_256', digests.blake2, got);
}

async function hashAgain({ stagingKey }: StagedBytes, blobs: Blobs, hasher: Blake2Thread): Promise<string> {
  const hash = hasher.begin();
  try {
    for await (const chunk of (await blobs.get(stagingKey)).stream()) await hash.update(chunk);
    return await hash.digest();
  } catch (error) {
    hash.abandon();
    throw error;
  }
}
