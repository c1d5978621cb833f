import type { IncomingMessage } from 'node:http';
import { Peer } from './peer.js';

function from(remoteAddress: string | undefined, headers: Record<string, string> = {}): IncomingMessage {
  return { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
}

describe('the other end of a request', () => {
  const peer = new Peer(['10.0.0.0/8', '192.168.1.1', 'fd00::/8']);

  it.each([
    // socket, X-Forwarded-For, client
    ['1.2.3.4', undefined, '1.2.3.4'],
    ['::ffff:1.2.3.4', undefined, '1.2.3.4'],
    ['::1', undefined, '::1'],
    [undefined, undefined, undefined],
    ['1.2.3.4', '9.9.9.9', '1.2.3.4'],
    ['10.0.0.1', '9.9.9.9', '9.9.9.9'],
    ['::ffff:10.0.0.1', '::ffff:9.9.9.9', '9.9.9.9'],
    ['10.0.0.1', '6.6.6.6, 9.9.9.9', '9.9.9.9'],
    ['10.0.0.1', '6.6.6.6, 9.9.9.9, 10.0.0.2, 192.168.1.1', '9.9.9.9'],
    ['10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['10.0.0.1', '6.6.6.6, 9.9.9.9:4711', '9.9.9.9'],
    ['10.0.0.1', '6.6.6.6, [2001:db8::1]:4711', '2001:db8::1'],
    ['10.0.0.1', '[2001:db8::1]', '2001:db8::1'],
    ['10.0.0.1', '9.9.9.9, 10.0.0.2:4711', '9.9.9.9'],
    // Whoever it is, it is neither the proxy nor who the client says it is.
    ['10.0.0.1', 'nonsense', undefined],
    ['10.0.0.1', '10.0.0.3, unknown', undefined],
    ['10.0.0.1', '6.6.6.6, nonsense, 10.0.0.2', undefined],
    ['10.0.0.1', '6.6.6.6, ', undefined],
    ['10.0.0.1', '', '10.0.0.1'],
    ['fd00::1', '2001:db8::1', '2001:db8::1'],
    ['192.168.1.2', '9.9.9.9', '192.168.1.2'],
  ])('at %s, with X-Forwarded-For %s, is %s', (address, forwarded, client) => {
    const headers = forwarded === undefined ? undefined : { 'x-forwarded-for': forwarded };
    expect(peer.addressOf(from(address, headers))).toBe(client);
  });

  it.each([
    ['1.2.3.4', 'real.test'],
    ['10.0.0.1', 'forwarded.test'],
  ])('at %s asks for the host %s', (address, host) => {
    const headers = { host: 'real.test', 'x-forwarded-host': ' forwarded.test ' };
    expect(peer.hostOf(from(address, headers))).toBe(host);
  });

  it('may have proxies in front that forward nothing', () => {
    expect(peer.hostOf(from('10.0.0.1', { host: 'real.test' }))).toBe('real.test');
  });

  it.each(['10.0.0.0/33', '10.0.0/8', 'proxy', '10.0.0.1/x', 'fd00::/129', ''])('refuses the range %j', (range) => {
    expect(() => new Peer([range])).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});
