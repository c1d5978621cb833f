import type { Use } from '@vivarium/access/cut';
import { decide, type Facts } from '@vivarium/access/decide';
import type { FileKind } from '@vivarium/access/scope';
import { Fault } from '@vivarium/fault/fault';
import { type Actor, missingPackage } from './actor.js';
import type { ChannelRow } from './channel-row.js';
import { namesOf, type PackageRow } from './package-row.js';

/** Throws unless the actor may do this to the package: Fault('not_found') as for a missing one where it is hidden. */
export function requireRight(
  actor: Actor,
  row: PackageRow,
  verb: 'write' | 'admin',
  ask: { readonly use: Use; readonly labels?: readonly string[] | undefined; readonly subdir?: string | undefined },
): void {
  const decision = decide(actor.caller, factsOf(actor, row), verb, {
    kind: 'package',
    use: ask.use,
    label: ask.labels,
    subdir: ask.subdir,
  });
  if (decision.allow) return;
  if (isHidden(actor, row, ask.use)) throw missingPackage(actor.channel.login, row.name);
  throw new Fault(decision.code, decision.reason);
}

/**
 * Throws the answer for a missing package unless the actor may read it through one of the doors: under one of the labels, in
 * the subdir and by one of the names if they are given. What is said of a refusal is that of the first door.
 */
export function requireRead(
  actor: Actor,
  row: PackageRow,
  ask: {
    readonly uses: readonly Use[];
    readonly labels?: readonly string[] | undefined;
    readonly subdir?: string | undefined;
    readonly names?: readonly string[] | undefined;
  },
): void {
  const { uses, labels: label, subdir, names } = ask;
  const decisions = uses.map((use) =>
    decide(actor.caller, factsOf(actor, row), 'read', { kind: 'package', use, label, subdir, names }),
  );
  if (decisions.some(({ allow }) => allow)) return;
  const [denial] = decisions;
  if (denial?.allow === false && denial.code === 'forbidden') throw new Fault(denial.code, denial.reason);
  throw missingPackage(actor.channel.login, row.name);
}

/** Throws unless the actor may make a package of this name. Hidden namesakes make no difference. */
export function requireCreate(actor: Actor, name: string, use: Use): void {
  const decision = decide(actor.caller, factsOf(actor, undefined), 'create', { kind: 'package', use, names: [name] });
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
}

/** What somebody uploads, as far as rights care. */
export interface UploadAsk {
  readonly kind: FileKind;
  /** As the kind normalises it. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly subdir: string | undefined;
}

/**
 * Throws unless the actor may upload this to the package, or create the package if there is none. Where the package is
 * hidden the answer is that to creating it, as if there were none.
 */
export function requireUpload(actor: Actor, row: PackageRow | undefined, ask: UploadAsk): void {
  const use: Use = `upload:${ask.kind}`;
  const resource = { kind: 'package', use, names: [ask.name], label: ask.labels, subdir: ask.subdir } as const;
  const verb = row === undefined ? 'create' : 'write';
  const decision = decide(actor.caller, factsOf(actor, row), verb, resource);
  if (decision.allow) return;
  if (row === undefined || !isHidden(actor, row, use)) throw new Fault(decision.code, decision.reason);
  const denial = decide(actor.caller, factsOf(actor, undefined), 'create', resource);
  // Whoever may create sees everything, so this is a denial; if not, nothing is given away here.
  throw denial.allow ? missingPackage(actor.channel.login, ask.name) : new Fault(denial.code, denial.reason);
}

/** True where the actor may not even read it: then no answer may speak of it, not by one word. */
function isHidden(actor: Actor, row: PackageRow, use: Use): boolean {
  return !decide(actor.caller, factsOf(actor, row), 'read', { kind: 'package', use }).allow;
}

function factsOf(actor: Actor, row: PackageRow | undefined): Facts {
  const { channel, standing } = actor;
  return {
    standing,
    channel: channelFactsOf(channel),
    package: row && { visibility: row.visibility, grants: row.grants, names: namesOf(row) },
  };
}

/** What decisions need to know of a channel. */
export function channelFactsOf({ id, login, defaultVisibility }: ChannelRow): Facts['channel'] {
  return { id, login, ownerId: id, defaultVisibility };
}
