/**
 * Every platform directory that conda or rattler asks for, in a fixed order. A channel serves all of them from its
 * creation, because a client remembers for days that its own platform answered "not found".
 * Source: conda's KNOWN_SUBDIRS and rattler's Platform.
 */
export const KNOWN_SUBDIRS: readonly string[] = [
  'noarch',
  'emscripten-wasm32',
  'freebsd-64',
  'linux-32',
  'linux-64',
  'linux-aarch64',
  'linux-armv6l',
  'linux-armv7l',
  'linux-loong64',
  'linux-ppc',
  'linux-ppc64',
  'linux-ppc64le',
  'linux-riscv32',
  'linux-riscv64',
  'linux-s390x',
  'osx-64',
  'osx-arm64',
  'wasi-wasm32',
  'win-32',
  'win-64',
  'win-arm64',
  'zos-z',
];

const known: ReadonlySet<string> = new Set(KNOWN_SUBDIRS);

/** True if the text is exactly (case included) a platform directory that a client may ask for. */
export function isKnownSubdir(text: string): boolean {
  return known.has(text);
}
