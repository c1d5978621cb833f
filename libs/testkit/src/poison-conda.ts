import { createHash } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import { aCondaPackage } from './builders.js';
import { type PoisonCase, poison } from './poison-case.js';
import { type PoisonEntry, paxEntry, poisonTar, tarEntry } from './poison-tar.js';
import { type PoisonEnd, type PoisonMember, poisonZip, secondName, wideExtra } from './poison-zip.js';

const STEM = 'poison-1.0-0';
const BASENAME = `noarch/${STEM}.conda`;
const INFO = `info-${STEM}.tar.zst`;
const PKG = `pkg-${STEM}.tar.zst`;
const MEGABYTE = 1024 ** 2;

/** The index.json of a sound package, with changes; `undefined` leaves a field out. */
export function indexOf(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const base = { name: 'poison', version: '1.0', build: '0', build_number: 0, depends: [], subdir: 'noarch' };
  return { ...base, noarch: 'generic', ...changes };
}

/** The info of a sound package; `index` is its index.json as it stands there. */
export function infoOf(index: Uint8Array | string = JSON.stringify(indexOf())): readonly PoisonEntry[] {
  return [
    { path: 'info/index.json', bytes: index },
    { path: 'info/paths.json', bytes: '{"paths":[],"paths_version":1}' },
  ];
}

interface Parts {
  readonly info?: Uint8Array;
  readonly pkg?: Uint8Array;
  readonly document?: string;
}

function membersOf({ info, pkg, document }: Parts = {}): readonly PoisonMember[] {
  return [
    { name: 'metadata.json', bytes: document ?? '{"conda_pkg_format_version": 2}' },
    { name: PKG, bytes: pkg ?? zstdCompressSync(poisonTar([{ path: 'share/poison.txt', bytes: 'x' }])) },
    { name: INFO, bytes: info ?? zstdCompressSync(poisonTar(infoOf())) },
  ];
}

/** A `.conda` of these parts, in a true zip. */
export function condaOf(parts: Parts = {}): Buffer {
  return poisonZip(membersOf(parts));
}

const withInfo = (...entries: readonly PoisonEntry[]) => condaOf({ info: zstdCompressSync(poisonTar(entries)) });
const withPkg = (...entries: readonly PoisonEntry[]) => condaOf({ pkg: zstdCompressSync(poisonTar(entries)) });
const withIndex = (index: Uint8Array | string) => withInfo(...infoOf(index));

function changed(name: string, change: Partial<PoisonMember>, lies: PoisonEnd = {}): Buffer {
  return poisonZip(
    membersOf().map((member) => (member.name === name ? { ...member, ...change } : member)),
    lies,
  );
}

const condaCase = (title: string, says: RegExp, bytes: () => Buffer, code?: PoisonCase['code']) =>
  poison(BASENAME, title, says, bytes, code);

/** A `.conda` whose zip, frames or tars are not what every client would see in them. */
export function condaContainers(): readonly PoisonCase[] {
  const also = (...more: readonly PoisonMember[]) => poisonZip([...membersOf(), ...more]);
  const around = (lies: PoisonEnd) => poisonZip(membersOf(), lies);
  const info = () => zstdCompressSync(poisonTar(infoOf()));
  const zeros = (count: number) => zstdCompressSync(Buffer.alloc(count));
  return [
    condaCase('with a member twice', /two members have the same name/, () => also(...membersOf().slice(2))),
    condaCase('with one name twice and two contents', /same name/, () => also({ name: INFO, bytes: zeros(1024) })),
    condaCase('with another name in its local header', /two headers of "info-.*disagree/, () =>
      changed(INFO, { local: { name: 'info-other-1.0-0.tar.zst' } }),
    ),
    condaCase('with another size in its local header', /two headers of "info-/, () =>
      changed(INFO, { local: { sizeBytes: 3 } }),
    ),
    condaCase('with another packed size in its local header', /two headers of "info-/, () =>
      changed(INFO, { local: { packedBytes: 3 } }),
    ),
    condaCase('with another method in its local header', /two headers of "info-/, () =>
      changed(INFO, { local: { method: 8 } }),
    ),
    condaCase('with another checksum in its local header', /two headers of "info-/, () =>
      changed(INFO, { local: { crc32: 3 } }),
    ),
    condaCase('with other flags in its local header', /two headers of "info-/, () =>
      changed(INFO, { local: { flags: 8 } }),
    ),
    condaCase('with a wrong checksum in both headers', /info-.*checksum/, () => changed(INFO, { both: { crc32: 3 } })),
    condaCase('with a wrong checksum of its package part', /pkg-.*checksum/, () =>
      changed(PKG, { both: { crc32: 3 } }),
    ),
    condaCase('with two sizes of a stored member', /sizes of "info-/, () => changed(INFO, { both: { sizeBytes: 3 } })),
    condaCase('with a member that only its directory lists', /before or between|outside|begin with/, () =>
      also({ name: 'ghost', missing: 'local' }),
    ),
    condaCase('with a member that its directory leaves out', /between its members and its directory/, () =>
      also({ name: 'ghost', bytes: 'boo', missing: 'central' }),
    ),
    condaCase('with members that overlap', /before or between its members/, () =>
      changed(INFO, { central: { offset: 0, name: INFO } }),
    ),
    condaCase('with leading bytes', /before or between its members/, () =>
      around({ before: Buffer.from('#!/bin/sh\n') }),
    ),
    condaCase('with bytes before its directory', /between its members and its directory/, () =>
      around({ beforeDirectory: Buffer.from('x') }),
    ),
    condaCase('with bytes before its end', /between its directory and its end/, () =>
      around({ beforeEnd: Buffer.from('x') }),
    ),
    condaCase('with trailing bytes', /does not end with an end record/, () => around({ after: Buffer.from('x') })),
    condaCase('with a comment', /comment/, () => around({ comment: Buffer.from('x') })),
    condaCase('with a comment that is an end record', /end record|directory/, () => around({ comment: poisonZip([]) })),
    condaCase('with a second archive behind it', /before or between|directory|members/, () =>
      Buffer.concat([condaOf(), condaOf()]),
    ),
    condaCase('with a second end record', /directory/, () => around({ after: poisonZip([]) })),
    condaCase('with fewer members than its end says', /directory is broken/, () => around({ end: { count: 4 } })),
    condaCase('with more members than its end says', /more entries/, () => around({ end: { count: 2 } })),
    condaCase('with an end on another disk', /several disks/, () => around({ end: { disk: 1 } })),
    condaCase('with a member on another disk', /several disks/, () => changed(INFO, { central: { disk: 1 } })),
    condaCase('with a directory elsewhere', /directory/, () => around({ end: { directoryStart: 0 } })),
    condaCase('with a directory of another size', /directory/, () => around({ end: { directoryBytes: 1 } })),
    condaCase('with a huge directory', /directory/, () =>
      changed(
        INFO,
        { central: { extra: extraOf(0x4242, 60_000) }, local: { extra: extraOf(0x4242, 60_000) } },
        {
          end: { directoryBytes: 70_000 },
        },
      ),
    ),
    condaCase('with a ZIP64 end that counts otherwise', /end records disagree/, () => around({ end64: { count: 2 } })),
    condaCase('with a ZIP64 end that lies behind a masked one', /directory|outside/, () =>
      around({ end: { directoryStart: 0xffffffff }, end64: { directoryStart: 1 } }),
    ),
    condaCase('with a ZIP64 end of another length', /zip64 end record is broken/, () =>
      around({ end64: { lengthBytes: 60 } }),
    ),
    condaCase('with a ZIP64 end without locator', /directory/, () => around({ end64: {}, locatorMissing: true })),
    condaCase('with a ZIP64 locator that points elsewhere', /zip64 end record is broken/, () =>
      around({ end64: { locator: 0 } }),
    ),
    condaCase('with a ZIP64 locator of several disks', /zip64 end record is broken/, () =>
      around({ end64: { disks: 2 } }),
    ),
    condaCase('with a ZIP64 size that its header contradicts', /zip64 field and its header disagree/, () =>
      changed(INFO, { both: { extra: wideExtra(5, 5) } }),
    ),
    condaCase('with a ZIP64 size that is missing', /zip64 field is missing/, () =>
      changed(INFO, { both: { sizeBytes: 0xffffffff, packedBytes: 0xffffffff } }),
    ),
    condaCase('with a ZIP64 size beyond its end', /outside the archive/, () =>
      changed(INFO, {
        both: { sizeBytes: 0xffffffff, packedBytes: 0xffffffff, extra: wideExtra(2 ** 40, 2 ** 40) },
      }),
    ),
    condaCase('with an impossible ZIP64 size', /impossible size/, () =>
      changed(INFO, {
        both: { sizeBytes: 0xffffffff, packedBytes: 0xffffffff, extra: extraOf(1, 16, 0xff) },
      }),
    ),
    condaCase('with two ZIP64 fields', /two zip64 fields/, () =>
      changed(INFO, { both: { extra: Buffer.concat([wideExtra(), wideExtra()]) } }),
    ),
    condaCase('with a second name in an extra field', /second name/, () =>
      changed(INFO, { both: { extra: secondName(INFO, 'info-other-1.0-0.tar.zst') } }),
    ),
    condaCase('with an extra field cut short', /extra field is broken/, () =>
      changed(INFO, { both: { extra: Buffer.from([1, 0, 9]) } }),
    ),
    condaCase('with a comment of a member', /member has a comment/, () => changed(INFO, { central: { comment: 'x' } })),
    condaCase('with a member that is a symbolic link', /"info-.*link or a special file/, () =>
      changed(INFO, { central: { mode: 0o120777 } }),
    ),
    condaCase('with a member that is a device', /"info-.*link or a special file/, () =>
      changed(INFO, { central: { mode: 0o020666 } }),
    ),
    condaCase('with a deflated member', /"info-.*is compressed/, () =>
      changed(INFO, { bytes: info(), deflated: true, both: {} }),
    ),
    condaCase('with an encrypted member', /"info-.*encrypted/, () => changed(INFO, { both: { flags: 1 } })),
    condaCase('with a data descriptor', /"info-.*data descriptor/, () => changed(INFO, { both: { flags: 8 } })),
    condaCase('with a member that climbs', /members besides|must have the member/, () =>
      also({ name: '../evil', bytes: 'x' }),
    ),
    condaCase('with an absolute member', /members besides|must have the member/, () =>
      also({ name: '/etc/cron.d/evil', bytes: 'x' }),
    ),
    condaCase('with an unprintable name', /unprintable name/, () =>
      also({ name: 'metadata.json\u0000.sig', bytes: 'x' }),
    ),
    condaCase('with a name beyond ASCII', /unprintable name/, () => also({ name: 'métadata.json', bytes: 'x' })),
    condaCase('with a fourth member', /members besides metadata.json/, () => also({ name: 'extra.txt', bytes: 'x' })),
    condaCase('with a second info part of another stem', /members besides metadata.json/, () =>
      also({ name: 'info-other-1.0-0.tar.zst', bytes: info() }),
    ),
    condaCase('with hundreds of members', /has 303 members/, () =>
      also(...Array.from({ length: 300 }, (_, at) => ({ name: `x${at}` }))),
    ),
    condaCase('in a folder of its own, as one was really published', /must have the member "metadata.json"/, () =>
      poisonZip(membersOf().map((member) => ({ ...member, name: `${STEM}/${member.name}` }))),
    ),
    condaCase('without its package part', /must have the member "pkg-poison/, () =>
      poisonZip(membersOf().filter(({ name }) => name !== PKG)),
    ),
    condaCase('under the stem of another', /must have the member "info-poison/, () =>
      poisonZip(membersOf().map((member) => ({ ...member, name: member.name.replace('poison', 'other') }))),
    ),
    condaCase('with a signature of 70 kB', /members besides metadata.json/, () =>
      also({ name: 'metadata.json.sig', bytes: Buffer.alloc(70_000) }),
    ),
    condaCase('of format 3', /conda_pkg_format_version/, () =>
      condaOf({ document: '{"conda_pkg_format_version": 3}' }),
    ),
    condaCase('of two formats', /"conda_pkg_format_version" twice/, () =>
      condaOf({ document: '{"conda_pkg_format_version": 3, "conda_pkg_format_version": 2}' }),
    ),
    condaCase(
      'with a metadata.json of 5 kB',
      /metadata.json is larger than 4096/,
      () => condaOf({ document: ' '.repeat(5_000) }),
      'too_large',
    ),
    condaCase('with an info part that is no zstd', /info-.*zstd frame/, () =>
      condaOf({ info: Buffer.from('not zstd!') }),
    ),
    condaCase('with a package part that is no zstd', /pkg-.*zstd frame/, () =>
      condaOf({ pkg: Buffer.from('not zstd!') }),
    ),
    condaCase('with an info part behind a skippable frame', /info-.*zstd frame/, () =>
      condaOf({ info: Buffer.concat([Buffer.from('502a4d180100000000', 'hex'), info()]) }),
    ),
    condaCase('with an info part of two frames', /info-.*(?:single zstd frame|something follows)/, () =>
      condaOf({ info: Buffer.concat([info(), info()]) }),
    ),
    condaCase('with a package part of two frames', /pkg-.*(?:single zstd frame|something follows)/, () =>
      condaOf({ pkg: Buffer.concat([zstdCompressSync(poisonTar([])), zstdCompressSync(poisonTar([]))]) }),
    ),
    condaCase('with an info part cut short', /info-.*cannot be decompressed/, () =>
      condaOf({ info: info().subarray(0, -9) }),
    ),
    condaCase('with a window of 256 MB', /info-.*needs a window of 268435456/, () =>
      condaOf({ info: Buffer.from('28b52ffd00900000000001000000', 'hex') }),
    ),
    condaCase('with a package part that needs a window of 2 GB', /pkg-.*needs a window of 2147483648/, () =>
      condaOf({ pkg: Buffer.from('28b52ffd00a80000000001000000', 'hex') }),
    ),
    condaCase('with an info part that needs a dictionary', /info-.*dictionary/, () =>
      condaOf({ info: Buffer.from('28b52ffd01000000000001000000', 'hex') }),
    ),
    condaCase(
      'with an info part that says it is 70 MB',
      /unpacked info part is larger than/,
      () => condaOf({ info: zeros(70 * MEGABYTE) }),
      'too_large',
    ),
    condaCase(
      'with an info part that is a bomb',
      /what it unpacks to is larger than/,
      () => withInfo(...infoOf(), { path: 'info/zeros', bytes: Buffer.alloc(20 * MEGABYTE) }),
      'too_large',
    ),
    condaCase(
      'with an info part that is a bomb and does not say its size',
      /what it unpacks to is larger than/,
      () =>
        condaOf({
          info: zstdCompressSync(
            Buffer.concat([tarEntry({ path: 'info/z', sizeBytes: 2 ** 30 }), Buffer.alloc(20 * MEGABYTE)]),
            {
              params: { [constants.ZSTD_c_contentSizeFlag]: 0 },
            },
          ),
        }),
      'too_large',
    ),
    condaCase(
      'with a package part that is a bomb',
      /what it unpacks to is larger than/,
      () => withPkg({ path: 'share/zeros', bytes: Buffer.alloc(20 * MEGABYTE) }),
      'too_large',
    ),
    condaCase('with an info of its own in the package part', /"info\/index.json"; "info\/" belongs/, () =>
      withPkg(...infoOf(JSON.stringify(indexOf({ depends: ['evil'] })))),
    ),
    condaCase('with another spelling of info in the package part', /"Info\/index.json"/, () =>
      withPkg({ path: 'Info/index.json', bytes: '{}' }),
    ),
    condaCase('with more than info in the info part', /"bin\/sh"; only "info\/"/, () =>
      withInfo(...infoOf(), { path: 'bin/sh', bytes: 'x' }),
    ),
    ...[
      'info./index.json',
      'info /index.json',
      'in\u200cfo/index.json',
      '\ufeffinfo/index.json',
      'info:x/index.json',
    ].map((path) =>
      condaCase(`with ${JSON.stringify(path)} in the package part`, /cannot tell from "info"/, () =>
        withPkg({ path, bytes: '{}' }),
      ),
    ),
    ...['index.json.', 'index.json ', 'index.j\u017fon', 'in\u00addex.json', 'index.json::$DATA'].map((name) =>
      condaCase(`with ${JSON.stringify(name)} beside its index.json`, /plain file in lower case/, () =>
        withInfo(...infoOf(), { path: `info/${name}`, bytes: '{}' }),
      ),
    ),
    condaCase('with the short name of its index.json', /"info\/INDEX~1.JSO", which may stand for another/, () =>
      withInfo(...infoOf(), { path: 'info/INDEX~1.JSO', bytes: '{}' }),
    ),
    condaCase('with the history of an environment under a blank', /only clients write/, () =>
      withPkg({ path: 'conda-meta /history' }),
    ),
    condaCase('with files below what is a link where case does not count', /directory "X" from a link/, () =>
      withPkg({ path: 'x', type: '2', target: 'info' }, { path: 'X/index.json', bytes: '{}' }),
    ),
    condaCase(
      'without index.json but for a mark before it',
      /no info\/index.json|only "info\/" belongs|cannot tell/,
      () => withInfo({ path: '\ufeffinfo/index.json', bytes: '{}' }, { path: 'info/paths.json', bytes: '{}' }),
    ),
    condaCase('with a climbing file in the package part', /"..\/..\/evil"/, () => withPkg({ path: '../../evil' })),
    condaCase('with the history of an environment in it', /"conda-meta\/history"/, () =>
      withPkg({ path: 'conda-meta/history' }),
    ),
    condaCase('with a repodata record in it', /"info\/repodata_record.json"/, () =>
      withInfo(...infoOf(), { path: 'info/repodata_record.json', bytes: '{}' }),
    ),
    condaCase('without index.json', /no info\/index.json/, () => withInfo(...infoOf().slice(1))),
    condaCase('without paths.json', /no info\/paths.json/, () => withInfo(...infoOf().slice(0, 1))),
    condaCase('with index.json twice', /"info\/index.json" is in it twice/, () =>
      withInfo(...infoOf(), ...infoOf().slice(0, 1)),
    ),
    condaCase('with index.json as a link', /"info\/index.json".*plain file/, () =>
      withInfo(...infoOf().slice(1), { path: 'info/index.json', type: '2', target: 'other.json' }),
    ),
    condaCase('whose extended header hides a second index.json', /two sizes/, () =>
      withInfo(paxEntry({ size: '0' }), ...infoOf()),
    ),
    condaCase('that is no archive', /too short|end record/, () => Buffer.from('PK\u0003\u0004')),
    condaCase('that is empty', /too short/, () => Buffer.alloc(0)),
    condaCase('that is a .tar.bz2', /end record/, () => Buffer.concat([Buffer.from('BZh9'), Buffer.alloc(100)])),
  ];
}

/** Documents in the info part that two parsers read differently, or that cost too much to read. */
export function condaDocuments(): readonly PoisonCase[] {
  const text = JSON.stringify(indexOf());
  const more = (json: string) => `${text.slice(0, -1)},${json}}`;
  const document = (path: string, bytes: Uint8Array | string) => withInfo(...infoOf(), { path, bytes });
  return [
    condaCase('with a key twice in index.json', /info\/index.json has the key "name" twice/, () =>
      withIndex(more('"name":"other"')),
    ),
    condaCase('with a key twice in two spellings', /info\/index.json has the key "name" twice/, () =>
      withIndex(more('"\\u006eame":"other"')),
    ),
    condaCase('with an index.json that is too deep', /info\/index.json is nested deeper than 32/, () =>
      withIndex(more(`"deep":${'['.repeat(40)}${']'.repeat(40)}`)),
    ),
    condaCase('with an index.json of half a million brackets', /info\/index.json/, () =>
      withIndex(more(`"deep":${'['.repeat(500_000)}${']'.repeat(500_000)}`)),
    ),
    condaCase(
      'with an index.json above 1 MB',
      /info\/index.json is larger than 1048576/,
      () => withIndex(`${text}${' '.repeat(MEGABYTE)}`),
      'too_large',
    ),
    condaCase('with an index.json that is not UTF-8', /info\/index.json is not UTF-8/, () =>
      withIndex(Buffer.from(more('"license":"caf\u00e9"'), 'latin1')),
    ),
    condaCase('with a byte order mark in index.json', /info\/index.json is not JSON/, () => withIndex(`\ufeff${text}`)),
    condaCase('with an index.json in UTF-16', /info\/index.json is not/, () => withIndex(Buffer.from(text, 'utf16le'))),
    condaCase('with NaN in index.json', /info\/index.json is not JSON/, () => withIndex(more('"x":NaN'))),
    condaCase('with Infinity in index.json', /info\/index.json is not JSON/, () => withIndex(more('"x":Infinity'))),
    condaCase('with a comment in index.json', /info\/index.json is not JSON/, () => withIndex(`${text}// x`)),
    condaCase('with two documents in index.json', /info\/index.json is not JSON/, () => withIndex(`${text}${text}`)),
    condaCase('with half a surrogate in index.json', /info\/index.json has a text/, () =>
      withIndex(more('"license":"\\ud800"')),
    ),
    condaCase('with a NUL in index.json', /info\/index.json has a text/, () => withIndex(more('"license":"\\u0000"'))),
    condaCase('with __proto__ in index.json', /info\/index.json has the key "__proto__"/, () =>
      withIndex(more('"__proto__":{"name":"x"}')),
    ),
    condaCase('with an empty index.json', /info\/index.json is not JSON/, () => withIndex('')),
    condaCase('with an index.json that is a list', /info\/index.json must be a JSON object/, () => withIndex('[]')),
    condaCase('with a key twice in about.json', /info\/about.json has the key "a" twice/, () =>
      document('info/about.json', '{"a":1,"a":2}'),
    ),
    condaCase('with an about.json that is no JSON', /info\/about.json is not JSON/, () =>
      document('info/about.json', '{'),
    ),
    condaCase(
      'with an about.json above 1 MB',
      /info\/about.json is larger than 1048576/,
      () => document('info/about.json', ' '.repeat(MEGABYTE + 1)),
      'too_large',
    ),
    condaCase('with run exports that are numbers', /info\/run_exports.json must be/, () =>
      document('info/run_exports.json', '{"weak":[1]}'),
    ),
    condaCase('with run exports that are a number', /info\/run_exports.json must be/, () =>
      document('info/run_exports.json', '7'),
    ),
  ];
}

/** Fields of a record that make a package, or its whole directory, unreadable to conda or rattler. */
export function condaRecords(): readonly PoisonCase[] {
  const field = (title: string, changes: Readonly<Record<string, unknown>>, says: RegExp) =>
    condaCase(title, says, () => withIndex(JSON.stringify(indexOf(changes))));
  const written = (title: string, json: string, says: RegExp) =>
    condaCase(title, says, () => withIndex(`${JSON.stringify(indexOf()).slice(0, -1)},${json}}`));
  const named = (title: string, basename: string, says: RegExp) => poison(basename, title, says, () => condaOf());
  return [
    field('with the version "2.0$"', { version: '2.0$' }, /"version".*"2.0\$"/),
    field('with an empty version', { version: '' }, /"version"/),
    field('with the version "2..0"', { version: '2..0' }, /"version".*"2..0"/),
    field('with digits beyond 31 bits in its version', { version: '2147483648.0' }, /"version".*"2147483648.0"/),
    field('with a version that is a number', { version: 1 }, /"version"/),
    field('with a version of 65 characters', { version: `1.${'0'.repeat(63)}` }, /"version"/),
    field('with a build_number that is a text', { build_number: '0' }, /"build_number".*"0"/),
    field('without build_number', { build_number: undefined }, /"build_number".*absent/),
    field('with a negative build_number', { build_number: -1 }, /"build_number".*-1/),
    field('with half a build_number', { build_number: 0.5 }, /"build_number".*0.5/),
    field('with a build that is null', { build: null }, /"build".*null/),
    field('without build', { build: undefined }, /"build".*absent/),
    field('with a hyphen in its build', { build: 'a-b' }, /"build".*"a-b"/),
    field('with half a timestamp', { timestamp: 1_700_000_000_000.5 }, /"timestamp"/),
    field('with a timestamp beyond 64 bits', { timestamp: 1e30 }, /"timestamp"/),
    written('with a timestamp beyond a double', '"timestamp":1e999', /"timestamp"/),
    field('with a timestamp that is a text', { timestamp: '1700000000000' }, /"timestamp"/),
    field('built in the year 2900', { timestamp: 29_348_006_400_000 }, /timestamp 29348006400000/),
    field('with a size that is a text', { size: '1' }, /"size".*"1"/),
    field('with a sha256 that is none', { sha256: 'abc' }, /"sha256".*"abc"/),
    field('with an md5 that is none', { md5: 'abc' }, /"md5".*"abc"/),
    field('with depends that are null', { depends: null }, /"depends".*null/),
    field('with depends that are a text', { depends: 'python' }, /"depends".*"python"/),
    field('with depends that are numbers', { depends: [1] }, /"depends".*\[1\]/),
    field('with constrains that are null', { constrains: null }, /"constrains".*null/),
    field('with a license that is a list', { license: ['MIT'] }, /"license".*\["MIT"\]/),
    field('with noarch "pure"', { noarch: 'pure' }, /"noarch".*"pure"/),
    field('with the key url', { url: 'https://example.com/x' }, /"url"/),
    field('with the key channel', { channel: 'other' }, /"channel".*"other"/),
    field('with the key fn', { fn: '../../x' }, /"fn"/),
    field('with a dependency that cannot be parsed', { depends: ['python >='] }, /"python >="/),
    field('with a dependency that is a glob', { depends: ['pyth*'] }, /"pyth\*"/),
    field('with a conditional dependency', { depends: ['python[when="linux"]'] }, /python\[when/),
    field('with a dependency of another channel', { depends: ['evil::python'] }, /"evil::python"/),
    field('with a constraint that cannot be parsed', { constrains: ['python 1.*.*[['] }, /python 1/),
    field('with an upper-case name', { name: 'Poison' }, /"Poison"/),
    field('with another name', { name: 'other' }, /name "other"/),
    field('with another version', { version: '2.0' }, /version "2.0"/),
    field('with another build', { build: '1' }, /build "1"/),
    field('without name', { name: undefined }, /"name".*absent/),
    field('with a name that climbs', { name: '../poison' }, /"\.\.\/poison"/),
    field('with a subdir that is not its directory', { subdir: 'linux-64' }, /subdir "linux-64"/),
    field('with a subdir that climbs', { subdir: '../noarch' }, /subdir "\.\.\/noarch"/),
    field('with track_features of numbers', { track_features: [1] }, /"track_features"/),
    field('with a site-packages path that climbs', { python_site_packages_path: '../..' }, /python_site_packages_path/),
    field('of schema 3', { schema_version: 3 }, /"schema_version".*3/),
    field('with too many dependencies', { depends: Array(2_001).fill('python') }, /"depends"/),
    field(
      'that says too much for an index',
      { depends: Array(2_000).fill(`python ${'>=3,'.repeat(50)}>=3`) },
      /too much/,
    ),
    named('named without build', 'noarch/poison-1.0.conda', /poison-1.0.conda/),
    named('named in upper case', 'noarch/Poison-1.0-0.conda', /Poison/),
    named('named to climb', 'noarch/../poison-1.0-0.conda', /noarch\/\.\.\/poison/),
    named('named by two underscores', 'noarch/__poison-1.0-0.conda', /__poison/),
    named('named with a percent sign', 'noarch/poison%2f-1.0-0.conda', /poison%2f/),
    named('in a directory that is no platform', 'everywhere/poison-1.0-0.conda', /everywhere/),
    named('named longer than 211 characters', `noarch/poison-1.0-${'0'.repeat(220)}.conda`, /poison-1.0-/),
  ];
}

/** A sound `.conda` of some 40 kB that no compression shrinks. */
export function soundConda(): Buffer {
  return aCondaPackage({ name: 'poison', version: '1.0', sizeBytes: 40_000 }).bytes;
}

/** Odd, and accepted on purpose. */
export function oddCondas(): readonly (readonly [title: string, bytes: () => Buffer])[] {
  const masked = { sizeBytes: 0xffffffff, packedBytes: 0xffffffff };
  return [
    [
      'with a signature, its members in another order',
      () => poisonZip([{ name: 'metadata.json.sig', bytes: 'signed' }, ...membersOf().toReversed()]),
    ],
    ['with a ZIP64 end that says the same', () => poisonZip(membersOf(), { end64: {} })],
    [
      'with ZIP64 sizes, as writers of streams make them',
      () =>
        poisonZip(
          membersOf().map((member) => {
            const length = Buffer.from(member.bytes ?? '').length;
            return { ...member, both: { ...masked, extra: wideExtra(length, length) } };
          }),
        ),
    ],
    [
      'with run exports that are a list',
      () => withInfo(...infoOf(), { path: 'info/run_exports.json', bytes: '["a >=1"]' }),
    ],
    [
      'with noarch true, a time in seconds and unknown keys',
      () =>
        withIndex(JSON.stringify(indexOf({ noarch: true, timestamp: 1_700_000_000, x: { y: 1 }, run_exports: ['a'] }))),
    ],
    ['without a subdir of its own', () => withIndex(JSON.stringify(indexOf({ subdir: undefined })))],
    [
      'with hashes of another file',
      () => withIndex(JSON.stringify(indexOf({ sha256: createHash('sha256').digest('hex'), size: 1 }))),
    ],
    [
      'with names that differ by case, links inside and one to nowhere',
      () =>
        withPkg(
          { path: 'share/Makefile' },
          { path: 'share/makefile' },
          { path: 'lib/libx.so', type: '2', target: '../share/makefile' },
          { path: 'lib/gone.so', type: '2', target: 'missing.so' },
          { path: 'lib/empty.so', type: '2' },
          { path: 'lib/cmake/Foo', type: '2', target: 'foo' },
          { path: 'lib/cmake/foo/foo.cmake' },
          paxEntry({ mtime: '1.5', size: '2' }),
          { path: 'lib/x', bytes: 'ab' },
        ),
    ],
    ['with files, from before paths.json', () => withInfo(...infoOf().slice(0, 1), { path: 'info/files', bytes: '' })],
  ];
}

function extraOf(id: number, length: number, fill = 0): Buffer {
  const field = Buffer.alloc(4 + length, fill);
  field.writeUInt16LE(id, 0);
  field.writeUInt16LE(length, 2);
  return field;
}
