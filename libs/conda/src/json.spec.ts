import fc from 'fast-check';
import { parseJson, parseJsonObject } from './json.js';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('strict JSON', () => {
  it('reads what JSON.parse reads, whatever the text', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        fc.pre(!/__proto__|\\u/.test(text));
        expect(parseJson(bytes(text), 'index.json')).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    ['{"a":1,"a":2}', 'key "a" twice'],
    ['{"a":1,"\\u0061":2}', 'key "a" twice'],
    ['[{"b":{"c":1, "c" : 2}}]', 'key "c" twice'],
    ['{"a\\"":1,"a\\"":1}', 'twice'],
    ['{"__proto__":{}}', '__proto__'],
    ['{a:1}', 'is not JSON'],
    ['', 'is not JSON'],
    ['\ufeff{}', 'is not JSON'],
    ['[1] [2]', 'is not JSON'],
    ['NaN', 'is not JSON'],
    ['['.repeat(33) + ']'.repeat(33), 'deeper than 32'],
    ['["\\ud800"]', 'half surrogate'],
    ['{"\\u0000":1}', 'NUL'],
    [`${'{"a":'.repeat(33)}1${'}'.repeat(33)}`, 'deeper than 32'],
  ])('refuses %j', (text, reason) => {
    expect(() => parseJson(bytes(text), 'index.json')).toThrow(reason);
  });

  it('takes equal keys of different objects, and strings that look like structure', () => {
    const text = '{"a":{"a":1},"b":[{"a":1},{"a":2}],"c":"{\\"a\\":1,\\"a\\":[[[","d":"a"}';
    expect(parseJson(bytes(text), 'x')).toEqual(JSON.parse(text));
  });

  it('reads a long text full of escapes', () => {
    const text = JSON.stringify('"'.repeat(500_000));
    expect(parseJson(bytes(text), 'x')).toBe('"'.repeat(500_000));
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22), 'x')).toThrow('not UTF-8');
  });

  it('refuses a text above its limit before reading it', () => {
    expect(() => parseJson(bytes(`"${'x'.repeat(100)}"`), 'x', { sizeBytes: 100, depth: 4 })).toThrow(
      'larger than 100',
    );
  });

  it.each(['[]', 'null', '1', '"x"'])('refuses %s where an object is needed', (text) => {
    expect(() => parseJsonObject(bytes(text), 'index.json')).toThrow('must be a JSON object');
  });
});
