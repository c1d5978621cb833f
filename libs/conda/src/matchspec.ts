// The dependency specs that a record may carry, the positional form of CEP-29 that CEP-34 asks for:
//
//   spec       = name [ " " version [ " " build ] ]
//   version    = all *( "|" all )
//   all        = one *( "," one )
//   one        = "(" version ")" | [ "=" | "==" ] "*" | [ operator ] number [ "*" | 1*".*" ]
//   operator   = "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "~="
//   build      = letters, digits, "_", "." and "+", with "*" for anything
//
// A client drops a record whose specs it cannot parse and tells its user "not found", so only what conda and rattler both
// read is accepted. Bracket forms ([when=…], [build=…]), channels, regular expressions and globs in the name are not.
import { Fault } from '@vivarium/fault/fault';
import { isCondaName } from './name.js';
import { isCondaVersion } from './version.js';

const MAX_SPEC_CHARACTERS = 512;
const MAX_DEPTH = 8;
const VIRTUAL_NAME = /^__[a-z0-9][a-z0-9_.-]{0,61}$/;
const BUILD = /^[a-zA-Z0-9_.+*]{1,64}$/;
const CONSTRAINT = /^(==|=|!=|<=|>=|<|>|~=)?([^=<>~*]*?)((?:\.\*)+|\*)?$/;

export interface MatchSpec {
  /** Folded to lower case, as every client does. */
  readonly name: string;
  readonly version: string | undefined;
  readonly build: string | undefined;
}

/**
 * The parts of a positional dependency spec, `name [version [build]]`, checked.
 * Throws Fault('invalid') with the part at fault. Sources: CEP-29, CEP-34.
 */
export function parseMatchSpec(text: string): MatchSpec {
  const refuse = (reason: string): never => {
    throw new Fault(
      'invalid',
      `The dependency ${JSON.stringify(text.slice(0, 200))} cannot be read: ${reason}. Mend the recipe and build again.`,
    );
  };
  if (text.length > MAX_SPEC_CHARACTERS) return refuse(`it is longer than ${MAX_SPEC_CHARACTERS} characters`);
  if (/[[\]]/.test(text)) return refuse('bracket forms are not allowed in a package; write "name version build"');
  const [word = '', version, build, ...more] = text.split(' ');
  if (text.includes('  ') || more.length > 0 || text.trim() !== text) {
    return refuse('write "name version build" with single blanks, none inside the version');
  }
  const name = word.toLowerCase();
  if (!isCondaName(name) && !VIRTUAL_NAME.test(name)) return refuse(`${JSON.stringify(word)} is not a package name`);
  if (version !== undefined && !isVersionExpression(version)) {
    return refuse(`${JSON.stringify(version)} is not a version constraint`);
  }
  if (build !== undefined && !BUILD.test(build)) return refuse(`${JSON.stringify(build)} is not a build string`);
  return { name, version, build };
}

/** True if the text is a positional dependency spec. Sources: CEP-29, CEP-34. */
export function isMatchSpec(text: string): boolean {
  try {
    parseMatchSpec(text);
    return true;
  } catch {
    return false;
  }
}

/** Reads operands and operators in turn; whether a place wants an operand decides everything. */
function isVersionExpression(text: string): boolean {
  let depth = 0;
  let wantsOperand = true;
  for (const token of text.match(/[(),|]|[^(),|]+/g) ?? []) {
    if (token === ',' || token === '|') {
      if (wantsOperand) return false;
      wantsOperand = true;
    } else if (token === ')') {
      if (wantsOperand || --depth < 0) return false;
    } else if (!wantsOperand) return false;
    else if (token === '(') {
      if (++depth > MAX_DEPTH) return false;
    } else {
      if (!isConstraint(token)) return false;
      wantsOperand = false;
    }
  }
  return depth === 0 && !wantsOperand;
}

function isConstraint(text: string): boolean {
  const [, operator, number = '', suffix] = CONSTRAINT.exec(text) ?? [];
  const exact = operator === undefined || operator === '=' || operator === '==';
  if (number === '') return suffix === '*' && exact;
  // Clients disagree about the trailing underscore of a version inside a constraint.
  if (!isCondaVersion(number) || number.includes('_+') || (number.endsWith('_') && suffix === undefined)) return false;
  if (suffix === undefined) return true;
  if (operator === '~=') return false;
  if (suffix === '*') return operator !== '!=';
  return suffix === '.*' || operator === undefined;
}
