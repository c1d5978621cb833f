import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild } from '@vivarium/testkit/child-server';
import { findProgram } from '@vivarium/testkit/programs';

/** True if nginx is on this machine. */
export const hasNginx = findProgram('nginx') !== undefined;

/**
 * An nginx that keeps what it may, in front of a server that answers for the host. It keys by address alone and honours what
 * the answers say of caching, as such proxies do unless told otherwise. Its answers say in `x-cache` where they came from.
 */
export async function startCachingProxy(target: string): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const program = findProgram('nginx');
  if (program === undefined) throw new Error('nginx is not installed (.ci/install.sh does)');
  const { address, stop } = await startChild<string>({
    name: 'nginx',
    prepare: async (home, port) => {
      await writeFile(join(home, 'nginx.conf'), configuration(target, port));
      return [program, '-p', home, '-c', 'nginx.conf', '-e', 'stderr'];
    },
    probe: async (_home, port) => {
      await fetch(`http://127.0.0.1:${port}/`);
      return `http://127.0.0.1:${port}`;
    },
  });
  return { url: address, stop };
}

function configuration(target: string, port: number): string {
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
pid nginx.pid;
worker_processes 1;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_cache_path kept keys_zone=kept:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${target};
      proxy_http_version 1.1;
      proxy_set_header Host ${new URL(target).host};
      proxy_cache kept;
      # Even for answers that say nothing of it.
      proxy_cache_valid any 10m;
      add_header X-Cache $upstream_cache_status always;
    }
  }
}
`;
}
