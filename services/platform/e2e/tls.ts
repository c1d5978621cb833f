import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '@vivarium/testkit/programs';

const run = promisify(execFile);

/** True if this machine can make certificates. */
export const hasOpenssl = findProgram('openssl') !== undefined;

/** https in front of something that speaks http, with a certificate of a private authority: as operators set it up. */
export interface TlsFront {
  /** Origin, without a slash at its end. */
  readonly url: string;
  /** File with the certificate of the authority. */
  readonly authority: string;
  /** Sends everything to this origin from now on. */
  leadTo(origin: string): void;
  close(): Promise<void>;
}

/** Opens it on a free port of localhost. */
export async function openTlsFront(): Promise<TlsFront> {
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-tls-'));
  const { key, cert, authority } = await certificateIn(folder);
  let target = '';
  const server = createServer({ key, cert }, (request, response) => {
    const { hostname, port } = new URL(target);
    const forwarded = {
      'x-forwarded-for': request.socket.remoteAddress ?? '',
      'x-forwarded-host': request.headers.host ?? '',
      'x-forwarded-proto': 'https',
    };
    const { method, url } = request;
    const headers = { ...request.headers, ...forwarded };
    const onward = httpRequest({ hostname, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://localhost:${port}`,
    authority,
    leadTo: (origin) => {
      target = origin;
    },
    close: async () => {
      await closeServer(server);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function certificateIn(folder: string) {
  const at = (name: string): string => join(folder, name);
  const openssl = (...parameters: string[]) => run('openssl', parameters, { cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
  await openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=ca',
    ...authority,
  );
  await openssl('req', ...key, '-keyout', 'leaf.key', '-out', 'leaf.csr', '-subj', '/CN=localhost');
  await writeFile(at('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n');
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'names'];
  await openssl('x509', '-req', '-in', 'leaf.csr', '-out', 'leaf.pem', '-days', '2', ...signing);
  return { key: await readFile(at('leaf.key')), cert: await readFile(at('leaf.pem')), authority: at('ca.pem') };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
