import { createHash } from 'node:crypto';
import { aWheel } from './builders.js';
import { type PoisonCase, poison } from './poison-case.js';
import { deflateAgain } from './poison-deflate.js';
import { tarEntry } from './poison-tar.js';
import { type PoisonEnd, type PoisonMember, poisonZip, secondName, wideExtra } from './poison-zip.js';

const BASENAME = 'poison-1.0-py3-none-any.whl';
const INFO = 'poison-1.0.dist-info';
const MODULE = 'poison/__init__.py';
const MEGABYTE = 1024 ** 2;

/** METADATA or PKG-INFO of a sound file, with more fields. */
export function metadataOf(more = '', name = 'poison', version = '1.0'): string {
  return `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${more}`;
}

interface Wheel {
  readonly metadata?: string | Uint8Array | null;
  readonly wheel?: string | null;
  readonly record?: string | null;
  readonly info?: string;
  /** Listed in RECORD. */
  readonly files?: readonly PoisonMember[];
  /** Not listed. */
  readonly unlisted?: readonly PoisonMember[];
  readonly moreRecord?: string;
}

function membersOf(said: Wheel = {}): readonly PoisonMember[] {
  const info = said.info ?? INFO;
  const { metadata = metadataOf(), wheel = 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n' } = said;
  const listed: PoisonMember[] = [
    { name: MODULE, bytes: 'x = 1\n', deflated: true },
    ...(said.files ?? []),
    ...(metadata === null ? [] : [{ name: `${info}/METADATA`, bytes: metadata }]),
    ...(wheel === null ? [] : [{ name: `${info}/WHEEL`, bytes: wheel }]),
  ];
  const lines = listed.filter(({ name }) => !name.endsWith('/')).map(({ name, bytes }) => recordLine(name, bytes));
  const { record = `${lines.join('')}${info}/RECORD,,\n${said.moreRecord ?? ''}` } = said;
  return [...listed, ...(record === null ? [] : [{ name: `${info}/RECORD`, bytes: record }]), ...(said.unlisted ?? [])];
}

function recordLine(path: string, bytes: Uint8Array | string = '', algorithm = 'sha256'): string {
  const digest = createHash(algorithm).update(bytes).digest('base64url');
  return `${path},${algorithm}=${digest},${Buffer.byteLength(bytes)}\n`;
}

const wheelOf = (said: Wheel) => poisonZip(membersOf(said));
const wheelCase = (title: string, says: RegExp, bytes: () => Buffer) => poison(BASENAME, title, says, bytes);

/** Wheels whose zip is not what every installer would see in it. */
export function wheelContainers(): readonly PoisonCase[] {
  const changed = (change: Partial<PoisonMember>, lies: PoisonEnd = {}) =>
    poisonZip(
      membersOf().map((member) => (member.name === MODULE ? { ...member, ...change } : member)),
      lies,
    );
  const around = (lies: PoisonEnd) => poisonZip(membersOf(), lies);
  const file = (name: string, more: Partial<PoisonMember> = {}) => wheelOf({ files: [{ name, ...more }] });
  const zeros = deflateAgain.bind(undefined, Buffer.alloc(0), Buffer.alloc(MEGABYTE));
  const bombOf = (megabytes: number, said: Partial<{ sizeBytes: number }> = {}) => {
    const { packed, sizeBytes, crc32 } = zeros(megabytes);
    return wheelOf({
      files: [{ name: 'poison/zeros', deflated: true, packed, both: { sizeBytes, crc32, ...said } }],
    });
  };
  return [
    wheelCase('with bytes before it', /at byte 0/, () => around({ before: Buffer.from('#!/bin/sh\n') })),
    wheelCase('with bytes behind it', /bytes behind its end/, () => around({ after: Buffer.from('x') })),
    wheelCase('with a second end record', /bytes behind its end/, () => around({ after: poisonZip([]) })),
    wheelCase('with a second archive behind it', /bytes behind its end/, () =>
      Buffer.concat([wheelOf({}), wheelOf({})]),
    ),
    wheelCase('with an archive in its comment', /comment/, () => around({ comment: poisonZip([]) })),
    wheelCase('with a comment beyond ASCII', /comment/, () => around({ comment: Buffer.from('é') })),
    wheelCase('with bytes between its directory and its end', /something else than a zip record/, () =>
      around({ beforeEnd: Buffer.from('junk') }),
    ),
    wheelCase('with bytes before its directory', /something else than a zip record/, () =>
      around({ beforeDirectory: Buffer.from('junk') }),
    ),
    wheelCase('with a member that its directory leaves out', /6 members and its directory lists 5|lists/, () =>
      poisonZip([...membersOf(), { name: 'poison/hidden.py', bytes: 'x', missing: 'central' }]),
    ),
    wheelCase('with a member that only its directory lists', /lists/, () =>
      poisonZip([...membersOf(), { name: 'poison/ghost.py', missing: 'local' }]),
    ),
    wheelCase('with a member twice', /"poison\/__init__.py" twice/, () =>
      poisonZip([...membersOf(), { name: MODULE, bytes: 'evil' }]),
    ),
    wheelCase('with members that overlap', /disagree|where there is no member/, () =>
      changed({ central: { offset: 1 } }),
    ),
    wheelCase('with two names of a member', /disagree on its name/, () =>
      changed({ local: { name: 'poison/evil.py' } }),
    ),
    wheelCase('with two sizes of a member', /"poison\/__init__.py".*disagree on its size/, () =>
      changed({ central: { sizeBytes: 1 } }),
    ),
    wheelCase('with two packed sizes of a member', /disagree on its compressed size/, () =>
      changed({ central: { packedBytes: 1 } }),
    ),
    wheelCase('with two checksums of a member', /disagree on its checksum/, () => changed({ central: { crc32: 1 } })),
    wheelCase('with two methods of a member', /disagree on its compression/, () => changed({ central: { method: 0 } })),
    wheelCase('with a wrong size of a member', /wrong size for "poison\/__init__.py"|has 3 bytes/, () =>
      changed({ both: { sizeBytes: 3 } }),
    ),
    wheelCase('with a wrong checksum of a member', /wrong checksum for "poison\/__init__.py"/, () =>
      changed({ both: { crc32: 3 } }),
    ),
    wheelCase('with bytes behind a deflated stream', /behind the end of a compressed part/, () =>
      changed({
        packed: Buffer.concat([deflateAgain(Buffer.from('x = 1\n'), Buffer.alloc(0), 0).packed, Buffer.alloc(99)]),
      }),
    ),
    wheelCase('with a damaged deflated stream', /cannot be unpacked/, () =>
      changed({ packed: Buffer.alloc(20, 0xff) }),
    ),
    wheelCase('with a data descriptor', /"poison\/__init__.py".*data descriptor/, () =>
      changed({ both: { flags: 8 } }),
    ),
    wheelCase('with an encrypted member', /"poison\/__init__.py" is encrypted/, () => changed({ both: { flags: 1 } })),
    wheelCase('with unknown flags', /"poison\/__init__.py" has unknown flags/, () =>
      changed({ both: { flags: 0x2000 } }),
    ),
    wheelCase('with another compression', /compression method 12/, () => changed({ both: { method: 12 } })),
    wheelCase('with a comment of a member', /"poison\/__init__.py" has a comment/, () =>
      changed({ central: { comment: 'x' } }),
    ),
    wheelCase('with a second name', /second, different name/, () =>
      changed({ both: { extra: secondName(MODULE, 'poison/evil.py') } }),
    ),
    wheelCase('with an extra field twice', /extra field twice/, () =>
      changed({ both: { extra: Buffer.concat([secondName(MODULE, MODULE), secondName(MODULE, MODULE)]) } }),
    ),
    wheelCase('with an extra field cut short', /cut short/, () => changed({ both: { extra: Buffer.from([1, 0, 9]) } })),
    wheelCase('with ZIP64 sizes that nobody needs', /ZIP64 sizes of "poison/, () =>
      changed({ both: { extra: wideExtra(6, 6) } }),
    ),
    wheelCase('with ZIP64 sizes that are missing', /ZIP64 sizes of "poison/, () =>
      changed({ both: { sizeBytes: 0xffffffff } }),
    ),
    wheelCase('with a ZIP64 size beyond its end', /cut short/, () =>
      changed({ both: { sizeBytes: 0xffffffff, packedBytes: 0xffffffff, extra: wideExtra(2 ** 40, 2 ** 40) } }),
    ),
    wheelCase('with two ends that disagree', /end records disagree/, () => around({ end64: { count: 1 } })),
    wheelCase('with a ZIP64 end of another length', /unusual length/, () => around({ end64: { lengthBytes: 60 } })),
    wheelCase('with a ZIP64 end without locator', /no locator/, () => around({ end64: {}, locatorMissing: true })),
    wheelCase('with a locator that points elsewhere', /locator points elsewhere/, () =>
      around({ end64: { locator: 0 } }),
    ),
    wheelCase('with an end that counts otherwise', /does not describe/, () => around({ end: { count: 1 } })),
    wheelCase('with a directory elsewhere', /does not describe/, () => around({ end: { directoryStart: 0 } })),
    wheelCase('with a directory of another size', /does not describe/, () => around({ end: { directoryBytes: 1 } })),
    wheelCase('on several disks', /one part of several/, () => around({ end: { disk: 1 } })),
    wheelCase('with a climbing member', /"poison\/..\/..\/evil.py".*"\.\."/, () => file('poison/../../evil.py')),
    wheelCase('with an absolute member', /"\/etc\/evil".*absolute/, () => file('/etc/evil')),
    wheelCase('with a backslash', /backslash/, () => file('..\\evil.py')),
    wheelCase('with a drive', /drive letter/, () => file('C:evil.py')),
    wheelCase('with an unprintable name', /control character/, () => file('poison/a\u0000.py')),
    wheelCase('with a name that is not UTF-8', /not UTF-8/, () =>
      changed({ both: { name: Buffer.from([0x61, 0xff]), flags: 0x0800 } }),
    ),
    wheelCase('with a name of an old code page', /not marked as UTF-8/, () => changed({ both: { name: 'é.py' } })),
    wheelCase('with an empty segment', /empty or "." segment/, () => file('poison//x.py')),
    wheelCase('with a symbolic link', /"poison\/link" is a link/, () =>
      file('poison/link', { bytes: '/etc/passwd', central: { mode: 0o120777 } }),
    ),
    wheelCase('with a device', /"poison\/dev" is a link or a special/, () =>
      file('poison/dev', { central: { mode: 0o020666 } }),
    ),
    wheelCase('with a file where a folder is', /"poison" twice, or as both/, () => file('poison')),
    wheelCase('that is a bomb', /50 times its size/, () => bombOf(80)),
    wheelCase('that is a bomb and says that it is small', /wrong size|has .* bytes/, () =>
      bombOf(80, { sizeBytes: 100 }),
    ),
    wheelCase('of 100,001 members', /more than 100000 members/, () =>
      poisonZip(Array.from({ length: 100_001 }, (_, at) => ({ name: `p/${at}` }))),
    ),
    wheelCase('that is a tar too', /tar archive too/, () =>
      poisonZip([{ name: 'poison/tar', bytes: tarEntry({ path: 'x' }).subarray(40), both: {} }, ...membersOf()], {}),
    ),
    wheelCase('that is no archive', /something else than a zip record|cut short/, () =>
      Buffer.from('not a wheel at all'),
    ),
    wheelCase('that is empty', /cut short/, () => Buffer.alloc(0)),
    wheelCase('that is a gzip file', /something else than a zip record/, () =>
      Buffer.from('1f8b0800000000000000', 'hex'),
    ),
  ];
}

/** Wheels whose RECORD, METADATA or folders lie. */
export function wheelContents(): readonly PoisonCase[] {
  const content = (title: string, said: Wheel, says: RegExp) => wheelCase(title, says, () => wheelOf(said));
  const unlisted = [{ name: 'poison/evil.py', bytes: 'evil' }];
  const entryPoints = (text: string) => ({ files: [{ name: `${INFO}/entry_points.txt`, bytes: text }] });
  const named = (title: string, basename: string, says: RegExp) => poison(basename, title, says, () => wheelOf({}));
  return [
    content('with a member that RECORD lacks', { unlisted }, /"poison\/evil.py" is not listed in RECORD/),
    content(
      'with a line of RECORD for nothing',
      { moreRecord: recordLine('gone.py') },
      /"gone.py" is listed in RECORD/,
    ),
    content(
      'with a wrong hash in RECORD',
      { unlisted, moreRecord: recordLine('poison/evil.py', 'good') },
      /"poison\/evil.py" has another sha256/,
    ),
    content(
      'with a wrong size in RECORD',
      { unlisted, moreRecord: recordLine('poison/evil.py', 'goods') },
      /"poison\/evil.py" has 4 bytes, and 5/,
    ),
    content(
      'with a member without hash',
      { unlisted, moreRecord: 'poison/evil.py,,\n' },
      /"poison\/evil.py" has no hash/,
    ),
    content(
      'with a weak hash',
      { unlisted, moreRecord: recordLine('poison/evil.py', 'evil', 'md5') },
      /"poison\/evil.py" a hash that is not sha256/,
    ),
    content(
      'with a member twice in RECORD',
      { moreRecord: `${INFO}/RECORD,,\n` },
      /RECORD of the wheel lists .* twice/,
    ),
    content('with a RECORD that is no CSV', { moreRecord: '"open,,\n' }, /RECORD of the wheel is not a CSV/),
    content('with a line of another shape', { moreRecord: 'x\n' }, /the line "x"/),
    content('with a climbing line of RECORD', { moreRecord: recordLine('../x') }, /"\.\.\/x" is listed/),
    content('without RECORD', { record: null }, /no "poison-1.0.dist-info\/RECORD"/),
    content('without METADATA', { metadata: null }, /no "poison-1.0.dist-info\/METADATA"/),
    content('without WHEEL', { wheel: null }, /no "poison-1.0.dist-info\/WHEEL"/),
    content('of Wheel-Version 2', { wheel: 'Wheel-Version: 2.0\n' }, /Wheel-Version "2.0"/),
    content('of two Wheel-Versions', { wheel: 'Wheel-Version: 1.0\nWheel-Version: 2.0\n' }, /"1.0 and 2.0"/),
    content('of no Wheel-Version', { wheel: 'Tag: py3-none-any\n' }, /Wheel-Version ""/),
    content('with two dist-info folders', { files: [{ name: 'other-1.0.dist-info/METADATA' }] }, /it has two/),
    content(
      'with two dist-info folders by case',
      { files: [{ name: `${INFO.toUpperCase()}/METADATA` }] },
      /it has two/,
    ),
    content(
      'with a file named as a second dist-info folder',
      { files: [{ name: 'other-1.0.dist-info' }] },
      /it has two/,
    ),
    content('with two dist-info folders by a dot', { files: [{ name: `${INFO}./METADATA` }] }, /it has two/),
    ...['metadata', 'METADATA.', 'record', 'ENTRY_POINTS.TXT', 'WHEEL '].map((name) =>
      wheelCase(`with ${JSON.stringify(name)} in its dist-info folder`, /cannot tell from "poison-1.0.dist-info/, () =>
        wheelOf({ files: [{ name: `${INFO}/${name}` }] }),
      ),
    ),
    content('without dist-info folder', { info: 'poison-1.0' }, /no \*.dist-info/),
    content('with the dist-info folder of another', { info: 'other-1.0.dist-info' }, /"other-1.0.dist-info"/),
    content('with the dist-info folder of another version', { info: 'poison-2.0.dist-info' }, /"poison-2.0.dist-info"/),
    content('whose METADATA names another', { metadata: metadataOf('', 'other') }, /METADATA.*"other"/),
    content('whose METADATA gives another version', { metadata: metadataOf('', 'poison', '2.0') }, /METADATA.*"2.0"/),
    content('whose METADATA gives no version', { metadata: 'Metadata-Version: 2.1\nName: poison\n' }, /"Version"/),
    content('whose METADATA gives two names', { metadata: metadataOf('Name: other\n') }, /"name" 2 times/),
    content('whose METADATA gives a version that is none', { metadata: metadataOf('', 'poison', 'x') }, /"x"/),
    content('whose METADATA is not UTF-8', { metadata: Buffer.from(metadataOf('Author: é\n'), 'latin1') }, /UTF-8/),
    content('whose METADATA begins with a mark', { metadata: `\ufeff${metadataOf()}` }, /"Metadata-Version"/),
    content(
      'whose METADATA is of the future',
      { metadata: 'Metadata-Version: 3.0\nName: poison\nVersion: 1.0\n' },
      /"3.0"/,
    ),
    content('whose METADATA has a line of no field', { metadata: `: x\n${metadataOf()}` }, /": x"/),
    content(
      'whose Requires-Python is none',
      { metadata: metadataOf('Requires-Python: 3.x\n') },
      /Requires-Python: "3.x"/,
    ),
    content('whose METADATA has 100,001 fields', { metadata: metadataOf('X: y\n'.repeat(100_001)) }, /100000 fields/),
    content('whose METADATA has 9 MB', { metadata: metadataOf(`X: ${'y'.repeat(9_000_000)}\n`) }, /METADATA.*8388608/),
    content(
      'with a script that climbs',
      entryPoints('[console_scripts]\n../../evil = poison:main\n'),
      /"\.\.\/\.\.\/evil"/,
    ),
    content(
      'with an absolute script',
      entryPoints('[gui_scripts]\n/usr/bin/python = poison:main\n'),
      /"\/usr\/bin\/python"/,
    ),
    content('with a folded script', entryPoints('[console_scripts]\na = b:c\n  [x]\n../evil = a:b\n'), /"\.\.\/evil"/),
    named('named after another', 'other-1.0-py3-none-any.whl', /other/),
    named('named after another version', 'poison-2.0-py3-none-any.whl', /poison-2.0|"2.0"/),
    named('named without tags', 'poison-1.0.whl', /poison-1.0.whl/),
    named('named with a percent sign', 'poison-1.0-py3-none-any%2f.whl', /%/),
    named('named to climb', '../poison-1.0-py3-none-any.whl', /\.\.\/poison/),
    named('named by a version that is none', 'poison-x-py3-none-any.whl', /"x"/),
    named('named as an egg', 'poison-1.0-py3.13.egg', /\.egg/),
  ];
}

/** A sound wheel of some 40 kB that no compression shrinks. */
export function soundWheel(): Buffer {
  return aWheel({ name: 'poison', version: '1.0', sizeBytes: 40_000 }).bytes;
}

/** Odd, and accepted on purpose. */
export function oddWheels(): readonly (readonly [title: string, bytes: () => Buffer])[] {
  return [
    [
      'with a comment in ASCII and ZIP64 ends that say the same',
      () => poisonZip(membersOf(), { comment: Buffer.from('by hand'), end64: {} }),
    ],
    ['with folders as members', () => wheelOf({ files: [{ name: 'poison/', central: { mode: 0o040755 } }] })],
    ['with a signature beside RECORD', () => wheelOf({ unlisted: [{ name: `${INFO}/RECORD.jws`, bytes: '{}' }] })],
    ['with names that differ by case', () => wheelOf({ files: [{ name: 'poison/A.py' }, { name: 'poison/a.py' }] })],
    ['with a tag that is not its name’s', () => wheelOf({ wheel: 'Wheel-Version: 1.0\nTag: cp313-cp313-win32\n' })],
    ['with another spelling of its name and version', () => wheelOf({ metadata: metadataOf('', 'POISON', '1.0.0') })],
    [
      'with entry points of every kind',
      () =>
        wheelOf({
          files: [
            {
              name: `${INFO}/entry_points.txt`,
              bytes: '[console_scripts]\npoison = poison:main\n[mime]\ntext/x = a:b\n',
            },
          ],
        }),
    ],
    [
      'that is padded with text of a ratio below the limit',
      () => wheelOf({ files: [{ name: 'poison/text', bytes: 'text '.repeat(2 * MEGABYTE), deflated: true }] }),
    ],
  ];
}
