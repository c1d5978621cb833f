/** A file that must be refused, or one that must not be although it looks odd. */
export interface PoisonCase {
  /** Completes "refuses a package …". */
  readonly title: string;
  /** `noarch/poison-1.0-0.conda`, `poison-1.0.tar.gz`. */
  readonly basename: string;
  /** What the answer must name: the member or field at fault, or the limit. */
  readonly says: RegExp;
  readonly code: 'invalid' | 'too_large';
  /** Made when it is needed: some are large. The same every time. */
  bytes(): Buffer;
}

/** A case, unless told otherwise refused as `invalid`. */
export function poison(
  basename: string,
  title: string,
  says: RegExp,
  bytes: () => Buffer,
  code: PoisonCase['code'] = 'invalid',
): PoisonCase {
  return { title, basename, says, code, bytes };
}
