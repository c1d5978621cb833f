import { isLabel, parseLabel } from './label.js';
import { KNOWN_SUBDIRS } from './subdir.js';

describe('a label', () => {
  it.each([
    ['main', 'main'],
    ['RC', 'rc'],
    ['rc/2025.1', 'rc/2025.1'],
    ['dev_1-x', 'dev_1-x'],
    ['tools', 'tools'],
    ['channeldata.json', 'channeldata.json'],
    ['a'.repeat(128), 'a'.repeat(128)],
  ])('folds %s to %s', (text, label) => {
    expect(parseLabel(text)).toBe(label);
  });

  it.each([
    '',
    '1rc',
    '.rc',
    '/rc',
    'rc/',
    'a//b',
    'a/./b',
    'a/../b',
    'a b',
    'a%2fb',
    'rc!',
    'a\n',
    'é',
    '\u212Aernel',
    'a'.repeat(129),
    't',
    'T',
    'label',
    'a/label/b',
    'simple',
    'legacy',
    'a/shards',
    'lock',
    'copy',
    'nolabel',
    'a/-',
    ...KNOWN_SUBDIRS,
    'rc/linux-64',
    'rc/NoArch',
  ])('refuses %j', (text) => {
    expect(isLabel(text)).toBe(false);
    expect(() => parseLabel(text)).toThrow(/label/);
  });
});
