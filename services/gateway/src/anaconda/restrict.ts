import { parseRestrictions, type Restrictions } from '@vivarium/access/restriction';
import { parseLabel } from '@vivarium/conda/label';
import { isKnownSubdir, KNOWN_SUBDIRS } from '@vivarium/conda/subdir';
import { Fault } from '@vivarium/fault/fault';
import { JsonBody } from './json-body.js';

/** What a token shall be restricted to, as it is asked for. */
export interface AskedRestrictions {
  /** Without channels: they are asked for by login and kept by id. */
  readonly restrictions: Restrictions;
  readonly channels: readonly string[];
  readonly uses: number | undefined;
}

const NAMES = ['channels', 'packages', 'labels', 'subdirs', 'cidrs', 'uses'];

/**
 * Reads `restrict` of a body: `{channels?, packages?, labels?, subdirs?, cidrs?, uses?}`. Undefined if it is absent. Nobody
 * who asks for a narrow token may be handed a wide one, so unknown names and empty lists are refused.
 * Throws Fault('invalid') with the value at fault and what to do.
 */
export function restrictIn(body: JsonBody): AskedRestrictions | undefined {
  const values = body.object('restrict');
  if (values === undefined) return undefined;
  const unknown = Object.keys(values).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw invalid(`there is no restriction "${unknown.slice(0, 64)}"; there are ${NAMES.join(', ')}`);
  }
  const asked = new JsonBody(values);
  const lists = { packages: asked.texts('packages'), labels: asked.texts('labels'), cidrs: asked.texts('cidrs') };
  const subdirs = asked.texts('subdirs');
  for (const label of lists.labels ?? []) parseLabel(label);
  for (const subdir of subdirs ?? []) checkSubdir(subdir);
  const present = Object.entries({ ...lists, subdirs }).filter(([, list]) => list !== undefined);
  return {
    restrictions: parseRestrictions(Object.fromEntries(present)),
    channels: channelsIn(asked),
    uses: usesIn(asked),
  };
}

function channelsIn(asked: JsonBody): readonly string[] {
  const channels = asked.texts('channels');
  if (channels === undefined) return [];
  if (channels.length === 0) throw invalid('the list of channels is empty; leave it out to reach all');
  if (channels.length > 100) throw invalid(`a token names at most 100 channels, not ${channels.length}`);
  return [...new Set(channels)];
}

function usesIn(asked: JsonBody): number | undefined {
  const uses = asked.wholeNumber('uses');
  if (uses === undefined || uses >= 1) return uses;
  throw invalid(`a token can be used 1 time or more, not ${uses} times; leave "uses" out for no limit`);
}

function checkSubdir(subdir: string): void {
  if (isKnownSubdir(subdir.toLowerCase())) return;
  throw invalid(`"${subdir.slice(0, 64)}" is no subdir; there are ${KNOWN_SUBDIRS.join(', ')}`);
}

function invalid(sentence: string): Fault {
  return new Fault('invalid', `"restrict": ${sentence}`);
}
