import { type Caller, tokenOf } from '@vivarium/access/caller';
import { isPython, USES, type Use, VERBS, type Verb } from '@vivarium/access/cut';
import { type Decision, decide, type Facts, type PackageFacts, type Resource } from '@vivarium/access/decide';
import type { ExplainRequest } from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { Fault } from '@vivarium/fault/fault';
import type { Asker } from './asker.js';
import type { Db } from './db.js';
import { type ChannelFacts, factsFor, findChannelFacts, findPackageFacts } from './decision-facts.js';
import { subjectOf } from './decision-subject.js';
import { requireReading } from './list-groups.js';
import type { AuthzPorts } from './ports.js';

export interface Explaining {
  readonly ports: AuthzPorts;
  readonly db: Db;
  /** Who asks; the operator is told everything. */
  readonly asker: Asker | 'operator';
}

export interface Explanation {
  readonly allow: boolean;
  readonly reason: string;
}

/** What is asked, read from the request. */
interface Question {
  readonly verb: Verb;
  readonly doors: readonly Use[] | undefined;
  readonly channel: string;
  /** Undefined: the channel itself. */
  readonly package: string | undefined;
}

/**
 * The decision that somebody would get now, and why. Who asks for itself is told no more than it may read: a package or
 * channel that is hidden from it is one that does not exist. For others it is told to those who administer the package, or
 * own the channel. Throws Fault('invalid') for what is no question, Fault('forbidden') and Fault('not_found') for who may
 * not ask.
 */
export async function explain(by: Explaining, request: ExplainRequest): Promise<Explanation> {
  const question = questionIn(request);
  const { ports, asker } = by;
  const isOwnMatter = asker !== 'operator' && (request.as === '' || request.as.toLowerCase() === asker.caller.login);
  // Of what a token may not read by the API, it is told no more than whether it itself may do something.
  if (asker !== 'operator' && (request.as !== '' || request.token !== '')) requireReading(asker);
  const channel = await findChannelFacts(ports, question.channel);
  const found =
    channel === undefined || question.package === undefined
      ? undefined
      : await findPackageFacts(ports, channel, question.package);
  const sight =
    channel === undefined || asker === 'operator'
      ? undefined
      : await sightOf(by, asker.caller, channel, question, found);
  // Before anything is looked up of the account that is asked about.
  if (!isOwnMatter && asker !== 'operator') requireAdministering(question, sight);
  const subject = await subjectOf(ports, asker, request);
  if (channel === undefined || (isOwnMatter && sight?.isChannelVisible !== true)) {
    return { allow: false, reason: `${missingName({ ...question, package: undefined })} does not exist` };
  }
  const shown = !isOwnMatter || sight?.isReadable === true ? found : undefined;
  if (question.package !== undefined && question.verb !== 'create' && shown === undefined) {
    return { allow: false, reason: `${missingName(question)} does not exist` };
  }
  if (subject.refusal !== '') return { allow: false, reason: subject.refusal };
  return decideBy(subject.caller, await factsFor(by, channel, shown, subject.caller), question, request);
}

/** Throws Fault('invalid') with those that there are. */
function questionIn(request: ExplainRequest): Question {
  const verb = VERBS.find((each) => each === request.verb);
  if (verb === undefined) {
    throw new Fault('invalid', `"${request.verb.slice(0, 40)}" is no verb: use ${VERBS.join(', ')}.`);
  }
  const door = USES.find((each) => each === request.via);
  if (request.via !== '' && door === undefined) {
    throw new Fault('invalid', `"${request.via.slice(0, 40)}" is no way in: use ${USES.join(', ')}.`);
  }
  const name = request.package.toLowerCase();
  return {
    verb,
    doors: door === undefined ? undefined : [door],
    channel: request.channel.toLowerCase(),
    package: name === '' ? undefined : name,
  };
}

/** What the asker itself may do with the resource. */
interface Sight {
  readonly isChannelVisible: boolean;
  readonly isReadable: boolean;
  readonly isAdministered: boolean;
}

async function sightOf(
  by: Explaining,
  caller: Caller,
  channel: ChannelFacts,
  question: Question,
  found: PackageFacts | undefined,
): Promise<Sight> {
  const facts = await factsFor(by, channel, found, caller);
  const may = (verb: Verb, kind: Resource['kind'], use: Use) => decide(caller, facts, verb, { kind, use }).allow;
  const reads = (kind: 'package' | 'channel') => READ_DOORS.some((use) => may('read', kind, use));
  if (question.package === undefined) {
    const isVisible = reads('channel');
    return { isChannelVisible: isVisible, isReadable: isVisible, isAdministered: may('own', 'channel', 'api') };
  }
  const isThere = facts.package !== undefined;
  return {
    isChannelVisible: reads('channel'),
    isReadable: isThere && reads('package'),
    // Of a name that no package has, those may ask who administer all packages.
    isAdministered: may('admin', isThere ? 'package' : 'channel', 'api'),
  };
}

const READ_DOORS: readonly Use[] = ['api', 'conda', 'pypi', 'upload'];
const WRITE_DOORS: readonly Use[] = ['api', 'upload:conda', 'upload:pypi', 'upload:file'];

function requireAdministering(question: Question, sight: Sight | undefined): void {
  if (sight?.isAdministered === true) return;
  if (sight?.isReadable !== true) throw new Fault('not_found', `${missingName(question)} does not exist`);
  const { channel, package: name } = question;
  throw new Fault(
    'forbidden',
    name === undefined
      ? `Only the owners of ${channel} are told what others may do there.`
      : `Only those who administer ${channel}/${name} are told what others may do with it.`,
  );
}

/** The first way in that lets the subject do it; if none does, what the first one says. */
function decideBy(caller: Caller, facts: Facts, question: Question, request: ExplainRequest): Explanation {
  const { verb, package: name } = question;
  const resource = {
    kind: name === undefined ? 'channel' : 'package',
    label: request.label === '' ? undefined : request.label,
    subdir: request.subdir === '' ? undefined : request.subdir,
    address: request.address === '' ? undefined : request.address,
  } as const;
  const doors = question.doors ?? doorsOf(caller, verb);
  const decisions = doors.map((use): readonly [Use, Decision] => [
    use,
    decide(caller, facts, verb, { ...resource, use, names: namesAt(use, facts, name) }),
  ]);
  const [door, decision] = decisions.find(([, { allow }]) => allow) ?? decisions[0] ?? never();
  const more = decision.allow && door !== doors[0] ? `, through ${door}` : '';
  return { allow: decision.allow, reason: `${decision.reason}${more}` };
}

/** What the package is called where somebody comes in: a token's globs are held against that. */
function namesAt(use: Use, facts: Facts, asked: string | undefined): readonly string[] | undefined {
  const names = facts.package?.names ?? (asked === undefined ? undefined : [asked]);
  if (use === 'conda' || use === 'upload:conda') return names?.slice(0, 1);
  return isPython(use) ? names?.slice(-1) : names;
}

/** Only a token makes a difference between the ways in. */
function doorsOf(caller: Caller, verb: Verb): readonly Use[] {
  if (tokenOf(caller) === null) return ['api'];
  if (verb === 'read') return READ_DOORS;
  return verb === 'write' || verb === 'create' ? WRITE_DOORS : ['api'];
}

function missingName({ channel, package: name }: Pick<Question, 'channel' | 'package'>): string {
  return name === undefined
    ? `channel "${channel.slice(0, 70)}"`
    : `package "${channel.slice(0, 70)}/${name.slice(0, 100)}"`;
}

function never(): never {
  throw new Error('a question without a way in');
}
