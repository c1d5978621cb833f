// Bare node:http in a process of its own: it sends prepared answers and decides nothing. What the product costs beside this
// is what the product does.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PlainAnswer } from './plain-server.js';

interface Prepared {
  readonly status: number;
  readonly fields: string[];
  readonly bytes: Buffer;
  readonly file: string | undefined;
}

const answers = new Map<string, Prepared>();

const server = createServer({ keepAliveTimeout: 650_000, noDelay: true }, (request, response) => {
  const answer = answers.get(request.url ?? '');
  if (answer === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(answer.status, answer.fields);
  if (answer.file === undefined) response.end(answer.bytes);
  else createReadStream(answer.file).pipe(response);
});

process.on('message', ({ path, answer }: { path: string; answer: PlainAnswer }) => {
  const { status, fields, base64, file } = answer;
  answers.set(path, { status, fields: [...fields], bytes: Buffer.from(base64, 'base64'), file });
  process.send?.({ known: path });
});
process.on('disconnect', () => process.exit(0));
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
