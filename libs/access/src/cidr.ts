import { Fault } from '@vivarium/fault/fault';

/** A block of addresses: `bits` are its first `prefix` bits, the rest zero. IPv4 has 32 bits, IPv6 128. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly bits: bigint;
  readonly prefix: number;
}

const TEXT_LIMIT = 60;
const MAPPED = 0xffffn << 32n;

/**
 * The block that a text like `10.0.0.0/8`, `2001:db8::/32` or one bare address names. Bits after the prefix are dropped.
 * IPv4 addresses mapped into IPv6 (`::ffff:10.0.0.1`) are IPv4, because that is how a dual-stack socket shows them.
 * Throws Fault('invalid') for anything else. Source: RFC 4632, RFC 4291.
 */
export function parseCidr(text: string): Cidr {
  const [address = '', length, ...more] = text.length > TEXT_LIMIT ? [] : text.split('/');
  const whole = addressOf(address);
  const prefix = length === undefined ? whole?.width : prefixOf(length);
  if (whole === null || prefix === undefined || prefix > whole.width || more.length > 0) {
    throw new Fault('invalid', `"${text.slice(0, TEXT_LIMIT)}" is no address block; write 10.0.0.0/8 or 2001:db8::/32`);
  }
  if (whole.width === 128 && prefix >= 96 && whole.bits >> 32n === MAPPED >> 32n) {
    return block(4, whole.bits & 0xffff_ffffn, prefix - 96);
  }
  return block(whole.width === 32 ? 4 : 6, whole.bits, prefix);
}

/** True if the address lies in the block. False for a text that is no address or no block. */
export function inCidr(address: string, cidr: string): boolean {
  if (address.includes('/')) return false;
  try {
    return isNarrowerCidr(address, cidr);
  } catch {
    return false;
  }
}

/** True if the block lies wholly in the other. Throws Fault('invalid') if either is no block. */
export function isNarrowerCidr(cidr: string, than: string): boolean {
  const [inner, outer] = [parseCidr(cidr), parseCidr(than)];
  if (inner.family !== outer.family || inner.prefix < outer.prefix) return false;
  return block(inner.family, inner.bits, outer.prefix).bits === outer.bits;
}

function block(family: 4 | 6, bits: bigint, prefix: number): Cidr {
  const rest = BigInt((family === 4 ? 32 : 128) - prefix);
  return { family, bits: (bits >> rest) << rest, prefix };
}

function addressOf(text: string): { readonly bits: bigint; readonly width: 32 | 128 } | null {
  const width = text.includes(':') ? 128 : 32;
  const bits = width === 128 ? bitsOfV6(text) : bitsOfV4(text);
  return bits === null ? null : { bits, width };
}

function prefixOf(text: string): number | undefined {
  return /^(?:0|[1-9]\d{0,2})$/.test(text) ? Number(text) : undefined;
}

function bitsOfV4(text: string): bigint | null {
  const parts = text.split('.');
  // No leading zeros: some systems read 010 as eight.
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return null;
  return parts.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function bitsOfV6(text: string): bigint | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head, tail] = halves.map(groupsOf);
  if (head === null || head === undefined || tail === null) return null;
  if (tail === undefined) return head.length === 8 ? join(head) : null;
  const gap = 8 - head.length - tail.length;
  return gap < 1 ? null : join([...head, ...new Array<bigint>(gap).fill(0n), ...tail]);
}

function groupsOf(text: string, half: number, halves: readonly string[]): bigint[] | null {
  if (text === '') return halves.length === 2 ? [] : null;
  const parts = text.split(':');
  const groups: bigint[] = [];
  for (const [at, part] of parts.entries()) {
    const isLast = at === parts.length - 1 && half === halves.length - 1;
    const embedded = isLast && part.includes('.') ? bitsOfV4(part) : null;
    if (embedded !== null) groups.push(embedded >> 16n, embedded & 0xffffn);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(BigInt(`0x${part}`));
    else return null;
  }
  return groups;
}

function join(groups: readonly bigint[]): bigint {
  return groups.reduce((bits, group) => (bits << 16n) | group, 0n);
}
