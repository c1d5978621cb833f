// Finds what must not be in the repository: addresses and paths of one machine, names that only its makers know,
// credits to tools. The words are put together here, so that this file does not contain them.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Complaint, isMain, repositoryRoot, runScript } from './node24.mjs';
import { runTool } from './tools.mjs';

const LARGEST_TEXT_BYTES = 4_000_000;

const word = (...parts) => parts.join('');
const either = (...words) => words.map((each) => each.replaceAll('.', '\\.')).join('|');

const hosts = either(
  word('npm', 'js.'),
  word('pypi', '.org'),
  word('python', 'hosted.org'),
  word('proxy.golang', '.org'),
  word('sum.golang', '.org'),
  word('crates', '.io'),
  word('deb.debian', '.org'),
  word('repo1.', 'maven.org'),
  word('repo.maven', '.apache.org'),
  word('conda.', 'anaconda.org'),
);
const tools = either(
  word('Clau', 'de'),
  word('Anthro', 'pic'),
  word('Chat', 'GPT'),
  word('Copi', 'lot'),
  word('Open', 'AI'),
);

/** Each rule: what a line must not match, and why. `files` are repository files, `log` is commit messages. */
export const RULES = [
  { name: 'registry-host', pattern: new RegExp(hosts, 'i'), why: 'installs must follow the configured registry' },
  {
    name: 'machine-path',
    pattern: new RegExp(word('/wo', 'rk/(main|shared|\\.)')),
    why: 'the repository may be cloned anywhere',
  },
  {
    name: 'private-reference',
    pattern: new RegExp(
      word('(\\b(DES', 'IGN|SAF', 'ETY|HO', 'USE|STY', 'LE)(\\.md| §| \\d)|shared/(spe', 'cs|exam', 'ples|k', '8s)/)'),
    ),
    why: 'a reader of the repository does not have that document: give the reason instead',
  },
  { name: 'credit', pattern: new RegExp(word('Co-', 'authored-', 'by|') + tools, 'i'), why: 'commits have one author' },
];
const LOCK_RULE = {
  name: 'resolved-address',
  pattern: /"resolved": "[a-z+]+:\/\//,
  why: 'the lockfile must not fix where packages come from',
};

/** The lines of a text that break a rule, as `rule: place:line: why`. */
export function offencesIn(text, place, rules = RULES) {
  return text
    .split('\n')
    .flatMap((line, index) =>
      rules
        .filter(({ pattern }) => pattern.test(line))
        .map(({ name, why }) => `${name}: ${place}:${index + 1}: ${why}`),
    );
}

function offencesInFiles() {
  const listed = runTool('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  if (listed.code !== 0) throw new Complaint(`The word check reads the list of files from git: ${listed.output}`);
  return listed.stdout.split('\0').flatMap((path) => {
    const text = path === '' ? undefined : textOf(path);
    if (text === undefined) return [];
    const rules = path === 'package-lock.json' ? [...RULES, LOCK_RULE] : RULES;
    return [...offencesIn(path, 'file name', rules), ...offencesIn(text, path, rules)];
  });
}

function offencesInLog() {
  const { code, stdout, output } = runTool('git', ['log', '--format=%h %an <%ae>%n%B']);
  if (code !== 0) throw new Complaint(`The word check reads commit messages from git: ${output}`);
  return offencesIn(stdout, 'git log');
}

function textOf(path) {
  const full = join(repositoryRoot, path);
  const size = statSync(full, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0 || size > LARGEST_TEXT_BYTES || !statSync(full).isFile()) return undefined;
  const bytes = readFileSync(full);
  return bytes.subarray(0, 8000).includes(0) ? undefined : bytes.toString('utf8');
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    const offences = [...offencesInFiles(), ...offencesInLog()];
    for (const offence of offences) console.error(offence);
    return offences.length === 0 ? 0 : 1;
  });
}
