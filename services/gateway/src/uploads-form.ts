import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyFileStream, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';
import { Fault } from '@vivarium/fault/fault';

/** The one part of a form that is a file. */
export interface FormFile {
  /** As the client wrote it, folders included; undefined if it wrote none. */
  readonly filename: string | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** A header of the part, by its name in lower case; undefined too where the part begins far behind the start of the form. */
  header(name: string): string | undefined;
}

export interface FormOptions<T> {
  /** Name of the part that is the file, whether or not the client says so by a file name or type. */
  readonly filePart: string;
  /** Names of the fields that are kept; the others are read past. The first of a name counts. */
  readonly fields: ReadonlySet<string>;
  readonly maxFields: number;
  /** Of the file; the rest of the form may have 64 MB more. */
  readonly maxBytes: number;
  /** Takes the file while it comes. The fields are those before it, and grow. */
  readonly receive: (file: FormFile, fields: ReadonlyMap<string, string>) => Promise<T>;
  /** How long nothing may come. */
  readonly idleMs?: number;
}

export interface ReceivedForm<T> {
  readonly fields: ReadonlyMap<string, string>;
  /** Undefined if the form had no such part. */
  readonly received: T | undefined;
}

const FIELD_LIMIT_BYTES = 2 ** 20;
const HEADER_LIMIT_BYTES = 16 * 2 ** 10;
const FORM_LIMIT_BYTES = 64 * 2 ** 20;
const IDLE_MS = 120_000;
const HEAD_LIMIT_BYTES = 64 * 2 ** 10;

/**
 * Reads a multipart form as it comes, in flat memory. When it throws, `receive` has ended too: it was given an error to
 * end with. Throws what `receive` throws, Fault('invalid') for what is no whole form, Fault('too_large') for too many parts;
 * an aborted request ends in an error of its own.
 */
export async function readForm<T>(request: IncomingMessage, options: FormOptions<T>): Promise<ReceivedForm<T>> {
  const busboy = openParser(request, options);
  const fields = new Map<string, string>();
  const failure = Promise.withResolvers<never>();
  const whole = new Promise<void>((resolve) => busboy.once('finish', resolve));
  let file: BusboyFileStream | undefined;
  let received: Promise<T> | undefined;

  busboy.on('field', (name, value, nameCut, valueCut) => {
    if (!options.fields.has(name) || fields.has(name)) return;
    if (nameCut || valueCut) failure.reject(new Fault('too_large', `The field "${name}" is too long.`));
    else fields.set(name, value);
  });
  busboy.on('file', (_name, stream: BusboyFileStream, filename: string | undefined) => {
    // Told through the reading of it; without a listener it would end the process.
    stream.on('error', () => undefined);
    file = stream;
    const header = (name: string) => headerIn(begun.text(), options.filePart, name);
    received = (async () => options.receive({ filename, chunks: stream, header }, fields))();
    received.catch(failure.reject);
  });
  const tooMany = (): void =>
    failure.reject(new Fault('too_large', `The form has more than ${options.maxFields} parts.`));
  for (const limit of ['partsLimit', 'fieldsLimit', 'filesLimit'] as const) busboy.on(limit, tooMany);
  busboy.on('error', (cause: unknown) => {
    failure.reject(new Fault('invalid', 'The form is cut off or malformed. Send it again, whole.', { cause }));
  });
  const watch = watchArrival(request, options, failure.reject);
  const begun = keepHead(request);

  try {
    request.pipe(busboy);
    await Promise.race([whole, failure.promise]);
    return { fields, received: await received };
  } catch (error) {
    request.unpipe(busboy);
    file?.destroy(error instanceof Error ? error : new Error('the upload failed'));
    // Whoever takes the file must be done with it before anybody cleans up after it.
    await received?.catch(() => undefined);
    throw error;
  } finally {
    watch.stop();
    begun.stop();
    request.unpipe(busboy);
    busboy.destroy();
  }
}

/** The start of the body as it came: the parser tells of a part's headers only those that it knows. */
function keepHead(request: IncomingMessage): { text(): string; stop(): void } {
  const chunks: Buffer[] = [];
  let keptBytes = 0;
  const take = (chunk: Buffer): void => {
    if (keptBytes >= HEAD_LIMIT_BYTES) return;
    chunks.push(chunk.subarray(0, HEAD_LIMIT_BYTES - keptBytes));
    keptBytes += chunk.byteLength;
  };
  request.on('data', take);
  return { text: () => Buffer.concat(chunks).toString('latin1'), stop: () => request.off('data', take) };
}

/** A header of the first part of this name. */
function headerIn(form: string, part: string, name: string): string | undefined {
  const blocks = form.split('\r\n\r\n').map((text) => text.slice(text.lastIndexOf('\r\n--') + 1).split('\r\n'));
  const block = blocks.find((lines) =>
    lines.some((line) => /^content-disposition:/i.test(line) && line.includes(`name="${part}"`)),
  );
  const line = block?.find((each) => each.toLowerCase().startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}

function openParser<T>(request: IncomingMessage, { filePart, maxFields }: FormOptions<T>): BusboyInstance {
  const type = request.headers['content-type'] ?? '';
  if (!/^multipart\/form-data\s*;/i.test(type)) {
    throw new Fault('invalid', 'The body must be a form of the type multipart/form-data.');
  }
  try {
    return new Busboy({
      // Only the type is read.
      headers: { ...request.headers, 'content-type': type } as BusboyHeaders,
      isPartAFile: (name) => name === filePart,
      preservePath: true,
      limits: {
        files: 1,
        fields: maxFields,
        parts: maxFields + 1,
        fieldSize: FIELD_LIMIT_BYTES,
        fieldNameSize: 200,
        headerPairs: 20,
        headerSize: HEADER_LIMIT_BYTES,
      },
    });
  } catch (cause) {
    throw new Fault('invalid', 'The form does not say where its parts end: its type has no boundary.', { cause });
  }
}

/** Tells when the client has gone, sends nothing any more although we would take it, or does not come to an end. */
function watchArrival(
  request: IncomingMessage,
  { maxBytes, idleMs = IDLE_MS }: Pick<FormOptions<unknown>, 'maxBytes' | 'idleMs'>,
  fail: (error: unknown) => void,
): { stop(): void } {
  let leftBytes = maxBytes + FORM_LIMIT_BYTES;
  const idle = (): void => {
    if (request.isPaused()) timer.refresh();
    else fail(new Fault('invalid', `No byte came for ${idleMs / 1_000} s. Send it again.`));
  };
  const timer = setTimeout(idle, idleMs);
  const taken = (chunk: Buffer): void => {
    timer.refresh();
    leftBytes -= chunk.byteLength;
    if (leftBytes < 0)
      fail(new Fault('too_large', `The form is larger than a file of ${maxBytes} bytes would make it.`));
  };
  const closed = (): void => {
    if (!request.complete) fail(Object.assign(new Error('the client has gone'), { code: 'ECONNRESET' }));
  };
  request.on('data', taken);
  request.once('close', closed);
  request.once('error', fail);
  return {
    stop: () => {
      clearTimeout(timer);
      request.off('data', taken);
      request.off('close', closed);
      request.off('error', fail);
    },
  };
}
