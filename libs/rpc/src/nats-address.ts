import { Fault } from '@vivarium/fault/fault';

export interface NatsAddress {
  /** `host:port`, without credentials, so that they may be logged. */
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly isTls: boolean;
  /** Every server is on this machine. */
  readonly isLoopback: boolean;
}

/**
 * Reads `nats://user:password@host:4222[,nats://user:password@host2:4222]`; `tls://` asks for TLS. The credentials of the first count.
 * Throws Fault('invalid') on anything else, and on an address outside this machine without a user and password.
 * The text is never part of the message, because it holds a password.
 */
export function natsAddressOf(text: string): NatsAddress {
  const urls = text.split(',').map(parseServer);
  const [first] = urls;
  if (first === undefined) throw malformed();
  const isLoopback = urls.every((url) => isLoopbackHost(url.hostname));
  if (!isLoopback && (first.username === '' || first.password === '')) {
    throw new Fault(
      'invalid',
      `NATS_URL names ${first.host} without a user and password. Outside this machine they are required: nats://user:password@host:4222.`,
    );
  }
  return {
    servers: urls.map((url) => `${url.hostname}:${url.port || '4222'}`),
    user: first.username === '' ? undefined : decodeURIComponent(first.username),
    password: first.password === '' ? undefined : decodeURIComponent(first.password),
    isTls: first.protocol === 'tls:',
    isLoopback,
  };
}

function parseServer(text: string): URL {
  const url = URL.parse(text.trim());
  if (url === null || !['nats:', 'tls:'].includes(url.protocol) || url.hostname === '') throw malformed();
  return url;
}

function malformed(): Fault {
  return new Fault('invalid', 'NATS_URL is no NATS address. Write nats://user:password@host:4222.');
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
