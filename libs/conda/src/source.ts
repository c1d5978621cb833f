/** Bytes that can be read by ranges, wherever they are. `end` is exclusive; a read gives exactly `end - start` bytes. */
export interface ByteSource {
  readonly sizeBytes: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** What an archive may cost us. Every number is a bound on work or memory that a stranger's upload can cause. */
export interface CondaLimits {
  /** The archive itself. */
  readonly archiveBytes: number;
  /** The central directory of a `.conda`. */
  readonly directoryBytes: number;
  /** The window that a zstd frame may ask a reader to hold; clients refuse larger ones. */
  readonly windowBytes: number;
  /** The unpacked `info-*.tar.zst`. */
  readonly infoBytes: number;
  /** The packed `pkg-*.tar.zst` up to which it is unpacked and checked. */
  readonly checkedBytes: number;
  /** The unpacked `.tar.bz2`, or `pkg-*.tar.zst`. */
  readonly unpackedBytes: number;
  /** Unpacked over packed, counted above the first `ratioFreeBytes`. */
  readonly ratio: number;
  readonly ratioFreeBytes: number;
  /** Entries of a tar. */
  readonly members: number;
  /** index.json, about.json and run_exports.json, each. */
  readonly jsonBytes: number;
}

export const CONDA_LIMITS: CondaLimits = {
  archiveBytes: 16 * 1024 ** 3,
  directoryBytes: 64 * 1024,
  windowBytes: 128 * 1024 ** 2,
  infoBytes: 64 * 1024 ** 2,
  checkedBytes: 64 * 1024 ** 2,
  unpackedBytes: 8 * 1024 ** 3,
  ratio: 250,
  ratioFreeBytes: 16 * 1024 ** 2,
  members: 500_000,
  jsonBytes: 1024 ** 2,
};
