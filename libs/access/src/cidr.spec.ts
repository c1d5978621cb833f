import { BlockList, isIP } from 'node:net';
import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { inCidr, isNarrowerCidr, parseCidr } from './cidr.js';

const v4 = fc.ipV4();
const v6 = fc.ipV6().filter((text) => isIP(text) === 6 && !text.toLowerCase().includes('ffff:'));

describe('inCidr', () => {
  it.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['10.1.2.3', '10.9.9.9/8', true],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.8', '192.0.2.7', false],
    ['192.0.2.7', '192.0.2.6/31', true],
    ['255.255.255.255', '0.0.0.0/0', true],
    ['2001:db8::1', '2001:db8::/32', true],
    ['2001:DB8:0:0::1', '2001:db8::/32', true],
    ['2001:db9::1', '2001:db8::/32', false],
    ['::1', '::1/128', true],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['::ffff:a01:203', '10.0.0.0/8', true],
    ['10.1.2.3', '::ffff:10.0.0.0/104', true],
    ['10.1.2.3', '::/0', false],
    ['2001:db8::1', '0.0.0.0/0', false],
    ['10.1.2.3/8', '10.0.0.0/8', false],
    ['', '0.0.0.0/0', false],
    ['010.1.2.3', '10.0.0.0/8', false],
    ['fe80::1%eth0', 'fe80::/10', false],
    ['10.1.2.3', 'nonsense', false],
  ])('%s in %s: %s', (address, cidr, inside) => {
    expect(inCidr(address, cidr)).toBe(inside);
  });

  it('agrees with the block list of the platform', () => {
    fc.assert(
      fc.property(v4, v4, fc.nat(32), v6, v6, fc.nat(128), (a4, n4, p4, a6, n6, p6) => {
        const blocks = new BlockList();
        blocks.addSubnet(n4, p4, 'ipv4');
        expect(inCidr(a4, `${n4}/${p4}`)).toBe(blocks.check(a4, 'ipv4'));
        expect(inCidr(n4, `${n4}/${p4}`)).toBe(true);
        blocks.addSubnet(n6, p6, 'ipv6');
        expect(inCidr(a6, `${n6}/${p6}`)).toBe(blocks.check(a6, 'ipv6'));
        expect(inCidr(n6, `${n6}/${p6}`)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('parseCidr', () => {
  it.each([
    '',
    '/',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '10.0.0.256',
    '1e1.0.0.0',
    ' 10.0.0.0/8',
    '::/129',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '1:2:3:4:5:6:7::8',
    '10.0.0.1::',
    '::1.2.3',
    'g::',
    '12345::',
    `${'0'.repeat(100)}::`,
  ])('refuses %j', (text) => {
    try {
      parseCidr(text);
      throw new Error('was parsed');
    } catch (error) {
      expect(isFault(error) && error.code).toBe('invalid');
    }
  });

  it('takes exactly the addresses that the platform takes', () => {
    const texts = fc.oneof(v4, fc.ipV6(), fc.string({ unit: fc.constantFrom('1', 'f', ':', '.', '0') }));
    fc.assert(
      fc.property(texts, (text) => {
        let parsed = true;
        try {
          parseCidr(text);
        } catch {
          parsed = false;
        }
        expect([text, parsed]).toEqual([text, isIP(text) !== 0]);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('isNarrowerCidr', () => {
  it('is never true of a block that holds more', () => {
    fc.assert(
      fc.property(v4, fc.nat(32), fc.nat(32), v4, (network, inner, outer, address) => {
        const [child, parent] = [`${network}/${inner}`, `${network}/${outer}`];
        expect(isNarrowerCidr(child, parent)).toBe(inner >= outer);
        if (inner >= outer && inCidr(address, child)) expect(inCidr(address, parent)).toBe(true);
      }),
    );
  });
});
