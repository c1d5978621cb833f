import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { Fault } from '@vivarium/fault/fault';

/**
 * Who is at the other end. `X-Forwarded-For` and `-Host` count only when the peer is a proxy that the operator trusts; from
 * anybody else they are ignored, since anybody can send them.
 */
export class Peer {
  readonly #trusted = new BlockList();

  /** Addresses or CIDR ranges. Throws Fault('invalid') for one that is neither. */
  constructor(trustedProxies: readonly string[]) {
    for (const range of trustedProxies) this.#trust(range);
  }

  /** The client's own address, without the IPv6 form of an IPv4 one. */
  addressOf(request: IncomingMessage): string | undefined {
    const peer = plain(request.socket.remoteAddress);
    if (peer === undefined || !this.#isTrusted(peer)) return peer;
    const forwarded = String(request.headers['x-forwarded-for'] ?? '').trim();
    if (forwarded === '') return peer;
    const hops = forwarded.split(',').map(hopIn);
    // From the right: what trusted proxies added is true, the first other one is the client. One that cannot be read is the
    // client too, of an unknown address: what stands left of it may be the client's own words.
    const client = hops.findLastIndex((hop) => hop === undefined || !this.#isTrusted(hop));
    return hops[Math.max(client, 0)];
  }

  /** The Host that the client asked for. */
  hostOf(request: IncomingMessage): string | undefined {
    const forwarded = request.headers['x-forwarded-host'];
    const peer = plain(request.socket.remoteAddress);
    if (typeof forwarded === 'string' && peer !== undefined && this.#isTrusted(peer)) return forwarded.trim();
    return request.headers.host;
  }

  #isTrusted(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#trusted.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }

  #trust(range: string): void {
    const [address = '', bits] = range.split('/');
    const family = isIP(address);
    const width = family === 6 ? 128 : 32;
    const prefix = bits === undefined ? width : Number(bits);
    if (family === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > width) {
      throw new Fault('invalid', `TRUSTED_PROXIES: "${range}" is neither an address nor a range such as 10.0.0.0/8.`);
    }
    this.#trusted.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
  }
}

/** `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`, as proxies write it; undefined for anything else. */
function hopIn(text: string): string | undefined {
  const hop = text.trim();
  const [, bracketed, v4] = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d+)?$/.exec(hop) ?? [];
  const address = plain(bracketed ?? v4 ?? hop);
  return address === undefined || isIP(address) === 0 ? undefined : address;
}

function plain(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/, '');
}
