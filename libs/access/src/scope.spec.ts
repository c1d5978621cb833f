import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import {
  admitsUpload,
  admitsUploadReads,
  FILE_KINDS,
  holds,
  isNarrower,
  isScope,
  parseScopes,
  SCOPES,
  type Scope,
  uploadScopeOf,
} from './scope.js';

const EVERY = Object.keys(SCOPES).filter(isScope);
const someScopes = fc.uniqueArray(fc.constantFrom(...EVERY), { minLength: 1 });

describe('parseScopes', () => {
  it.each([
    [null, ['all']],
    [[], ['all']],
    [['repo'], ['repos']],
    [
      ['repo', 'conda:download'],
      ['repos', 'conda:download'],
    ],
    [['repo', 'repos', 'repo'], ['repos']],
    [
      ['pypi:upload', 'api:read'],
      ['pypi:upload', 'api:read'],
    ],
    [EVERY, EVERY],
  ])('reads %j as %j', (input, scopes) => {
    expect(parseScopes(input)).toEqual(scopes);
  });

  it.each(['conda:delete', '', 'ALL', ' all', 'toString', '__proto__', 'constructor', 'npm:download', '*'])(
    'refuses %j and lists the scopes there are',
    (word) => {
      try {
        parseScopes(['api', word]);
        throw new Error('was parsed');
      } catch (error) {
        expect(isFault(error) && error.code).toBe('invalid');
        for (const scope of EVERY) expect(String(error)).toContain(scope);
        expect(String(error)).toContain(JSON.stringify(word));
      }
    },
  );

  it('refuses a list without end', () => {
    expect(() => parseScopes(new Array(51).fill('all'))).toThrow('at most 50 scopes, not 51');
  });
});

describe('holds', () => {
  const table: Record<Scope, readonly Scope[]> = {
    all: EVERY,
    api: ['api', 'api:read', 'api:write', 'api:modify-group'],
    'api:read': ['api:read'],
    'api:write': ['api:write'],
    'api:modify-group': ['api:modify-group'],
    repos: ['repos', 'conda:download', 'pypi:download'],
    conda: ['conda', 'conda:download', 'conda:upload'],
    'conda:download': ['conda:download'],
    'conda:upload': ['conda:upload'],
    pypi: ['pypi', 'pypi:download', 'pypi:upload'],
    'pypi:download': ['pypi:download'],
    'pypi:upload': ['pypi:upload'],
  };

  it.each(EVERY)('%s alone contains exactly what the table says', (scope) => {
    expect(EVERY.filter((need) => holds([scope], need)).sort()).toEqual([...table[scope]].sort());
  });

  it.each<[Scope[], Scope, boolean]>([
    [['conda:download', 'conda:upload'], 'conda', true],
    [['api:read', 'api:write'], 'api', false],
    [['conda', 'pypi'], 'repos', true],
    [['conda:download', 'pypi:download'], 'repos', true],
    [['repos', 'conda:download'], 'conda:upload', false],
    [['api', 'repos', 'conda', 'pypi'], 'all', false],
    [[], 'api:read', false],
  ])('%j contain %s: %s', (scopes, need, held) => {
    expect(holds(scopes, need)).toBe(held);
  });

  it('loses nothing when scopes are added', () => {
    fc.assert(
      fc.property(someScopes, someScopes, fc.constantFrom(...EVERY), (scopes, more, need) => {
        if (holds(scopes, need)) expect(holds([...scopes, ...more], need)).toBe(true);
      }),
    );
  });
});

describe('isNarrower', () => {
  it('never lets a part hold what the whole does not', () => {
    fc.assert(
      fc.property(someScopes, someScopes, fc.constantFrom(...EVERY), (child, parent, need) => {
        if (isNarrower(child, parent) && holds(child, need)) expect(holds(parent, need)).toBe(true);
        expect(isNarrower(child, child)).toBe(true);
        expect(isNarrower(child, ['all'])).toBe(true);
      }),
    );
  });

  it.each<[Scope[], Scope[], boolean]>([
    [['all'], ['api', 'repos', 'conda', 'pypi'], false],
    [['conda:download'], ['repos'], true],
    [['conda'], ['repos'], false],
    [['repos'], ['conda:download'], false],
  ])('%j is narrower than %j: %s', (child, parent, narrower) => {
    expect(isNarrower(child, parent)).toBe(narrower);
  });
});

describe('uploads', () => {
  it.each<[Scope, string[]]>([
    ['all', [...FILE_KINDS]],
    ['api', [...FILE_KINDS]],
    ['api:write', [...FILE_KINDS]],
    ['api:read', []],
    ['api:modify-group', []],
    ['repos', []],
    ['conda', ['conda']],
    ['conda:upload', ['conda']],
    ['conda:download', []],
    ['pypi', ['pypi']],
    ['pypi:upload', ['pypi']],
    ['pypi:download', []],
  ])('%s uploads %j', (scope, kinds) => {
    expect(FILE_KINDS.filter((kind) => admitsUpload([scope], kind))).toEqual(kinds);
    expect(admitsUpload([scope])).toBe(kinds.length > 0);
    expect(admitsUploadReads([scope])).toBe(kinds.length > 0 || scope === 'api:read');
    for (const kind of FILE_KINDS) {
      expect(admitsUploadReads([scope], kind)).toBe(kinds.includes(kind) || scope === 'api:read');
    }
  });

  it.each(FILE_KINDS)('the scope to name for %s admits it', (kind) => {
    expect(admitsUpload([uploadScopeOf(kind)], kind)).toBe(true);
  });
});
