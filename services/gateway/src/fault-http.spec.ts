import { randomBytes } from 'node:crypto';
import { FAULT_CODES, Fault } from '@vivarium/fault/fault';
import { mintToken } from '@vivarium/token/format';
import { type Dialect, faultAnswerOf, statusOf } from './fault-http.js';
import { RateLimited } from './rate-limit.js';
import { UnknownHost } from './target.js';

const DIALECTS: readonly Dialect[] = ['problem', 'anaconda', 'storage', 'form-upload'];

describe('a fault over HTTP', () => {
  it('has one status for each code, and 421 for a host that is not ours', () => {
    const statuses = FAULT_CODES.map((code) => [code, statusOf(new Fault(code, 'x'))]);
    expect(Object.fromEntries(statuses)).toEqual({
      invalid: 400,
      unauthenticated: 401,
      forbidden: 403,
      not_found: 404,
      conflict: 409,
      too_large: 413,
      rate_limited: 429,
      unavailable: 503,
      internal: 500,
    });
    expect(statusOf(new UnknownHost('x'))).toBe(421);
  });

  it.each<[Dialect, string, string]>([
    [
      'problem',
      'application/problem+json',
      '{"type":"about:blank","title":"Not Found","status":404,"detail":"no <x>","code":"not_found","reason":"Not Found","message":"no <x>"}',
    ],
    ['anaconda', 'application/json', '{"error":"no <x>","code":"not_found"}'],
    ['storage', 'application/xml', '<Error><Code>InvalidRequest</Code><Message>no &#60;x&#62;</Message></Error>'],
    ['form-upload', 'application/json', '{"message":"no <x>","code":"404 no <x>","title":"Not Found"}'],
  ])('is told to %s clients in their way', (dialect, type, body) => {
    const answer = faultAnswerOf(new Fault('not_found', 'no <x>'), dialect, 'web');
    expect([answer.status, answer.headers['Content-Type'], answer.body]).toEqual([404, type, body]);
  });

  it.each(DIALECTS)('repeats no token that stood in the address (%s)', (dialect) => {
    const token = mintToken(randomBytes);
    const answer = faultAnswerOf(new Fault('not_found', `There is nothing at /t/x/${token}/y.`), dialect, 'conda');
    expect(JSON.stringify(answer)).not.toContain(token.slice(4, 16));
  });

  it.each(DIALECTS)('is remembered by nobody, and never tells its cause (%s)', (dialect) => {
    const answer = faultAnswerOf(new Fault('internal', 'x', { cause: new Error('secret') }), dialect, 'api');
    expect(answer.headers).toMatchObject({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    expect(answer.headers['Content-Length']).toBe(String(Buffer.byteLength(answer.body)));
    expect(JSON.stringify(answer)).not.toContain('secret');
  });

  it.each([
    ['unauthenticated', 'pypi', 'Basic realm="vivarium"'],
    ['unauthenticated', 'conda', 'Bearer realm="vivarium", Basic realm="vivarium"'],
    ['forbidden', 'pypi', undefined],
  ] as const)('%s in %s asks for %s', (code, family, challenge) => {
    expect(faultAnswerOf(new Fault(code, 'x'), 'problem', family).headers['WWW-Authenticate']).toBe(challenge);
  });

  it.each([
    [new Fault('unavailable', 'x'), '2'],
    [new Fault('rate_limited', 'x'), '2'],
    [new RateLimited('x', 42), '42'],
    [new Fault('invalid', 'x'), undefined],
  ])('says when to come back', (fault, seconds) => {
    expect(faultAnswerOf(fault, 'anaconda', 'api').headers['Retry-After']).toBe(seconds);
  });

  it.each([
    ['invalid', 'The md5 of the file is x', 'InvalidDigest'],
    ['invalid', 'The form is cut off', 'InvalidRequest'],
    ['too_large', 'x', 'EntityTooLarge'],
    ['forbidden', 'x', 'AccessDenied'],
  ] as const)('%s "%s" is %s to an uploader', (code, message, storageCode) => {
    expect(faultAnswerOf(new Fault(code, message), 'storage', 'api').body).toContain(`<Code>${storageCode}</Code>`);
  });

  it('puts no line break and nothing but plain letters into the status line', () => {
    const { reason } = faultAnswerOf(new Fault('invalid', `naïve\r\nX: y${'z'.repeat(400)}`), 'form-upload', 'pypi');
    expect(reason).toMatch(/^na\?ve\?\?X: yz+$/);
    expect(reason).toHaveLength(300);
  });
});
