import { Fault } from '@vivarium/fault/fault';

/** A program that may ask people to let it in by their browser. */
export interface Program {
  readonly clientId: string;
  /** For people. */
  readonly name: string;
  /** Where its code may be sent, compared as texts. */
  readonly redirectUris: readonly string[];
}

/**
 * The `anaconda` client: its id and the address at which it listens are fixed in it. The redirect stays on the machine of
 * whoever signs in. It has no secret, so the proof is the verifier that belongs to the challenge.
 */
const PROGRAMS: readonly Program[] = [
  {
    clientId: 'b4ad7f1d-c784-46b5-a9fe-106e50441f5a',
    name: 'the anaconda client',
    redirectUris: ['http://127.0.0.1:8000/auth/oidc'],
  },
];

/** Throws Fault('not_found'). */
export function findProgram(clientId: string): Program {
  const program = PROGRAMS.find((each) => each.clientId === clientId);
  if (program !== undefined) return program;
  throw new Fault('not_found', `There is no program "${clientId.slice(0, 64)}" that may sign in by the browser.`);
}
