import { readFileSync } from 'node:fs';
import { isSpecifierSet } from './specifier.js';

const vectors = readFileSync(new URL('./specifier.vectors.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [answer, text = '""'] = line.split('\t');
    return { text: JSON.parse(text) as string, accepted: answer === 'yes' };
  });

describe('isSpecifierSet', () => {
  it('has its vectors', () => {
    expect(vectors.filter(({ accepted }) => accepted).length).toBeGreaterThan(20);
    expect(vectors.filter(({ accepted }) => !accepted).length).toBeGreaterThan(20);
  });

  it.each(vectors)('answers $accepted for $text, as Python does', ({ text, accepted }) => {
    expect(isSpecifierSet(text)).toBe(accepted);
  });

  it('refuses a text without end, and answers at once', () => {
    const started = performance.now();
    expect(isSpecifierSet(`>=${'1.'.repeat(5000)}1`)).toBe(false);
    expect(isSpecifierSet(`>=${'1.'.repeat(2000)}x`)).toBe(false);
    expect(isSpecifierSet(`>=1${' '.repeat(4000)}x`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
