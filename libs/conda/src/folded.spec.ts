import { foldedName } from './folded.js';

describe('the folded name of a member', () => {
  it.each([
    ['info/index.json', 'info/index.json'],
    ['Info/INDEX.json', 'info/index.json'],
    ['info/index.j\u017fon', 'info/index.json'],
    ['in\u200cfo/inde\u00adx.json', 'info/index.json'],
    ['\ufeffinfo/index.json', 'info/index.json'],
    ['info. ./index.json', 'info/index.json'],
    ['info/index.json. .', 'info/index.json'],
    ['info/index.json::$DATA', 'info/index.json'],
    ['conda-meta:x/history', 'conda-meta/history'],
    ['\uff49nfo/index.json', 'info/index.json'],
    ['lib/e\u0301', 'lib/\u00e9'],
    ['info/index.json.txt', 'info/index.json.txt'],
    ['.hidden/..a', '.hidden/..a'],
  ])('of %j is %j', (name, folded) => {
    expect(foldedName(name)).toBe(folded);
  });

  it('takes time in proportion to its length', () => {
    const began = performance.now();
    for (let at = 0; at < 1_000; at++) foldedName(`${'. '.repeat(500)}X/`.repeat(1));
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
