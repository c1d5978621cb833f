import { parseArgs } from 'node:util';

/** What is measured on the product in one process. */
export const SINGLE_PARTS = ['startup', 'small', 'large', 'visible', 'revoke', 'upload'] as const;
/** What is measured on separate services with two gateways. */
export const PAIR_PARTS = ['forget', 'hide', 'list'] as const;
const PART_NAMES = [...SINGLE_PARTS, ...PAIR_PARTS] as const;
export type SinglePart = (typeof SINGLE_PARTS)[number];
export type PairPart = (typeof PAIR_PARTS)[number];
type PartName = (typeof PART_NAMES)[number];

export interface Options {
  readonly parts: readonly PartName[];
  /** Interleaved rounds of the comparisons. */
  readonly rounds: number;
  /** How long one server is under load in one round. */
  readonly roundMs: number;
  /** Files in the channel before anything is measured. */
  readonly files: number;
  readonly publishes: number;
  readonly revocations: number;
  /** Revocations at two gateways. */
  readonly forgettings: number;
  /** Packages that turn private. */
  readonly hidings: number;
  /** Lists of packages, of each size and for everybody who asks. */
  readonly listings: number;
  readonly jsonFile: string | undefined;
}

export const USAGE = `npm run bench -- [--quick] [--no-large] [--only=NAME]… [--json FILE]
  --quick        fewer and shorter rounds, fewer files: a look, not a figure to keep
  --no-large     leave out the upload of 2 GB (it needs 6 GB in the folder for temporary files)
  --only=NAME    one part, several times for several: ${PART_NAMES.join(' ')}
  --json FILE    write every figure to a file as well`;

/** Reads the command line; undefined where only the usage is wanted. Throws an Error that says what is wrong. */
export function parseOptions(words: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: 'boolean', default: false },
      'no-large': { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const wanted = values.only?.map(parsePartName);
  const parts = PART_NAMES.filter((name) => wanted?.includes(name) ?? !(name === 'upload' && values['no-large']));
  const measures = values.quick
    ? {
        rounds: 3,
        roundMs: 1_000,
        files: 200,
        publishes: 20,
        revocations: 10,
        forgettings: 20,
        hidings: 10,
        listings: 20,
      }
    : {
        rounds: 5,
        roundMs: 3_000,
        files: 1_000,
        publishes: 100,
        revocations: 50,
        forgettings: 200,
        hidings: 100,
        listings: 100,
      };
  return { parts, ...measures, jsonFile: values.json };
}

function parsePartName(text: string): PartName {
  const name = PART_NAMES.find((each) => each === text);
  if (name !== undefined) return name;
  throw new Error(`There is no part "${text}". Parts: ${PART_NAMES.join(' ')}`);
}
