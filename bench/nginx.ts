import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild } from '@vivarium/testkit/child-server';
import { findProgram } from '@vivarium/testkit/programs';
import { childrenOf } from './processes.js';

export interface Nginx {
  readonly version: string;
  readonly port: number;
  /** Its one worker: one event loop, as the product has one. */
  readonly workerPids: readonly number[];
  stop(): Promise<void>;
}

/** An nginx of this machine that serves a folder, or undefined where there is none. */
export async function startNginx(folder: string): Promise<Nginx | undefined> {
  const program = findProgram('nginx');
  if (program === undefined) return undefined;
  const { address, stop } = await startChild<{ pid: number; port: number; version: string }>({
    name: 'nginx',
    prepare: async (home, port) => {
      await writeFile(join(home, 'nginx.conf'), configuration(folder, port));
      return [program, '-p', home, '-c', 'nginx.conf', '-e', 'stderr'];
    },
    probe: async (home, port) => {
      const { headers } = await fetch(`http://127.0.0.1:${port}/`);
      const pid = Number(readFileSync(join(home, 'nginx.pid'), 'utf8'));
      return { pid, port, version: headers.get('server') ?? 'nginx' };
    },
  });
  return { version: address.version, port: address.port, workerPids: childrenOf(address.pid), stop };
}

// As fast as it goes for files: no log, open files remembered, head and body in one packet.
function configuration(folder: string, port: number): string {
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
pid nginx.pid;
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/octet-stream;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout 600;
  open_file_cache max=1000 inactive=600s;
  open_file_cache_valid 600s;
  server {
    listen 127.0.0.1:${port};
    root ${folder};
  }
}
`;
}
