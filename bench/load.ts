// The load generator, in a process of its own. It speaks HTTP/1.1 on plain sockets: every connection is kept alive and has
// one request under way. The first answer of a run is read in full; the later ones must have its status and its length,
// so that counting bytes is enough and the generator costs less than most of what it measures.
import { connect, type Socket } from 'node:net';
import type { LoadOrder, LoadResult } from './load-order.js';

const READ_BYTES = 256 * 1024;

process.on('message', (order: LoadOrder) => {
  void runLoad(order).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ failure: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));

async function runLoad(order: LoadOrder): Promise<LoadResult> {
  const shape = await probe(order);
  const before = process.cpuUsage();
  const started = performance.now();
  const counter = { started: 0, answered: 0 };
  const isOver =
    'forMs' in order.stop
      ? (
          (limit) => () =>
            performance.now() >= limit
        )(started + order.stop.forMs)
      : (
          (limit) => () =>
            counter.started >= limit
        )(order.stop.requests);
  await Promise.all(Array.from({ length: order.connections }, () => converse(order, shape, counter, isOver)));
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(before);
  return {
    requests: counter.answered,
    bodyBytes: counter.answered * shape.bodyBytes,
    ms,
    generatorCpuMs: (user + system) / 1000,
  };
}

interface Shape {
  readonly answerBytes: number;
  readonly bodyBytes: number;
}

/** One request, read in full. Throws an Error if the answer is not the one that was ordered. */
function probe({ port, request, status }: LoadOrder): Promise<Shape> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    let got = 0;
    let shape: Shape | undefined;
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the connection')));
    socket.on('data', (chunk: Buffer) => {
      got += chunk.length;
      if (shape === undefined) {
        head = Buffer.concat([head, chunk]);
        try {
          shape = shapeOf(head, status);
        } catch (error) {
          reject(error);
        }
      }
      if (shape === undefined || got < shape.answerBytes) return;
      socket.destroy();
      resolve(shape);
    });
  });
}

function shapeOf(bytes: Buffer, status: number): Shape | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = bytes.toString('latin1', 0, end);
  if (!head.startsWith(`HTTP/1.1 ${status} `)) throw new Error(`not ${status}: ${head.split('\r\n')[0]}`);
  const length = /^content-length: *(\d+)$/im.exec(head)?.[1];
  if (status !== 304 && length === undefined) throw new Error('an answer without Content-Length');
  const bodyBytes = status === 304 ? 0 : Number(length);
  return { answerBytes: end + 4 + bodyBytes, bodyBytes };
}

/** One connection: request after request, until it is over. */
function converse(
  { port, request, status }: LoadOrder,
  { answerBytes }: Shape,
  counter: { started: number; answered: number },
  isOver: () => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const bytes = Buffer.from(request, 'latin1');
    const wanted = Buffer.from(`HTTP/1.1 ${status} `, 'latin1');
    let left = 0;
    const ask = (): void => {
      if (isOver()) {
        socket.destroy();
        resolve();
        return;
      }
      counter.started += 1;
      left = answerBytes;
      socket.write(bytes);
    };
    const read = (size: number, buffer: Uint8Array): boolean => {
      if (left === answerBytes && wanted.compare(buffer, 0, wanted.length) !== 0) {
        reject(new Error(`not ${status}: ${Buffer.from(buffer).toString('latin1', 0, 60)}`));
        socket.destroy();
        return false;
      }
      left -= size;
      if (left < 0) {
        reject(new Error('an answer is longer than the first one'));
        socket.destroy();
        return false;
      }
      if (left === 0) {
        counter.answered += 1;
        ask();
      }
      return true;
    };
    const socket: Socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: Buffer.allocUnsafe(READ_BYTES), callback: read },
    });
    socket.on('connect', ask);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the connection')));
  });
}
