import type { PoisonCase } from './poison-case.js';
import { condaContainers, condaDocuments, condaRecords, oddCondas, soundConda } from './poison-conda.js';
import { oddSdists, sdists, soundSdist, soundZipSdist } from './poison-sdist.js';
import { soundTarBz2, tarBz2s } from './poison-tar-bz2.js';
import { oddWheels, soundWheel, wheelContainers, wheelContents } from './poison-wheel.js';

/** Everything that must be refused at publish, by what is wrong. All of it is called `poison`, version 1.0. */
export const POISON: Readonly<Record<string, () => readonly PoisonCase[]>> = {
  'a .conda by its container': condaContainers,
  'a .conda by its documents': condaDocuments,
  'a .conda by its record': condaRecords,
  'a .tar.bz2': tarBz2s,
  'a wheel by its container': wheelContainers,
  'a wheel by its contents': wheelContents,
  'a source distribution': sdists,
};

/** A sound file of some 40 kB of every kind, for those who cut it short. */
export const SOUND: readonly (readonly [basename: string, bytes: () => Buffer])[] = [
  ['noarch/poison-1.0-0.conda', soundConda],
  ['noarch/poison-1.0-0.tar.bz2', soundTarBz2],
  ['poison-1.0-py3-none-any.whl', soundWheel],
  ['poison-1.0.tar.gz', soundSdist],
  ['poison-1.0.zip', soundZipSdist],
];

/** Files that look odd and are accepted on purpose, since every client reads them alike and real tools write them. */
export const ODD: readonly (readonly [basename: string, title: string, bytes: () => Buffer])[] = [
  ...oddCondas().map(([title, bytes]) => ['noarch/poison-1.0-0.conda', title, bytes] as const),
  ...oddWheels().map(([title, bytes]) => ['poison-1.0-py3-none-any.whl', title, bytes] as const),
  ...oddSdists().map(([title, bytes]) => ['poison-1.0.tar.gz', title, bytes] as const),
];
