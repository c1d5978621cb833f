import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { mintToken } from './format.js';
import { redactTokens } from './redact.js';

const TOKEN = mintToken(randomBytes);
const SECRET = TOKEN.slice(4, 36);

describe('redactTokens', () => {
  it.each([
    [`/t/${TOKEN}/acme/noarch/repodata.json`, '/t/<token>/acme/noarch/repodata.json'],
    [`https://conda.example/conda/t/${TOKEN}/acme`, 'https://conda.example/conda/t/<token>/acme'],
    [`/t/${TOKEN}`, '/t/<token>'],
    [`/t/${TOKEN}?x=1`, '/t/<token>?x=1'],
    ['/t/zo-1234-not-ours/acme', '/t/<token>/acme'],
    ['/t/<token>/acme', '/t/<token>/acme'],
    ['/T/abc/acme', '/T/<token>/acme'],
    ['%2Ft%2Fabc%2Facme', '%2Ft%2F<token>%2Facme'],
    ['/t/a%2Db/acme', '/t/<token>/acme'],
    [`{"url":"/t/${TOKEN}","status":200}`, '{"url":"/t/<token>","status":200}'],
    [`authorization: token ${TOKEN}`, 'authorization: token <token>'],
    [`${TOKEN},${TOKEN}`, '<token>,<token>'],
    [`x${TOKEN}y`, 'x<token>y'],
    [TOKEN.toUpperCase(), '<token>'],
    [TOKEN.replaceAll('-', '%2D'), '<token>'],
    [TOKEN.slice(0, 24), '<token>'],
    ['/alice/test/noarch/x.conda', '/alice/test/noarch/x.conda'],
    ['/api/-/upload/0123abcd-4567ef', '/api/-/upload/<ticket>'],
    ['POST http://h/api/-/upload/0123abcd-4567ef/more?x', 'POST http://h/api/-/upload/<ticket>/more?x'],
    ['%2F-%2Fupload%2F0123abcd', '%2F-%2Fupload%2F<ticket>'],
    ['cookie: vivarium=vis-0123456789abcdef0123456789abcdef', 'cookie: vivarium=<token>'],
    ['vivarium viv-1.0', 'vivarium viv-1.0'],
    ['', ''],
  ])('makes %j into %j', (text, redacted) => {
    expect(redactTokens(text)).toBe(redacted);
    expect(redactTokens(redacted)).toBe(redacted);
  });

  it('leaves no secret wherever a token stands, and changes nothing more when repeated', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const redacted = redactTokens(`${before}${TOKEN}${after}`);
        expect(redacted).not.toContain(SECRET);
        expect(redactTokens(redacted)).toBe(redacted);
      }),
    );
  });

  it('takes linear time on hostile text', () => {
    for (const text of ['/t/'.repeat(300_000), 'viv-'.repeat(300_000), `viv-${'a'.repeat(1_000_000)}`]) {
      const start = process.hrtime.bigint();
      redactTokens(text);
      expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(2000);
    }
  });
});
