import { isIP } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { addAudit } from '@vivarium/audit/audit';
import { CallerSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { PasswordCredential, WhoIsRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Fault } from '@vivarium/fault/fault';
import { claimsOf } from '@vivarium/trust/caller';
import {
  findBrowserFacts,
  findPasswordFacts,
  findSessionFacts,
  findTokenFacts,
  type PasswordFacts,
} from './credential-facts.js';
import type { Db } from './db.js';
import {
  type Identified,
  identifyByBrowser,
  identifyByPassword,
  identifySession,
  identifyToken,
} from './identified.js';
import type { LastUsed } from './last-used.js';
import { foldLogin, isLogin } from './login.js';
import { checkMaker } from './makers.js';
import { isPasswordOf } from './password.js';
import type { IdentityPorts } from './ports.js';
import { endedBrowserLogin, wrongPassword } from './refusals.js';
import type { SigningKeys } from './signing-keys.js';

const AUDIENCE = /^[a-z][a-z-]{0,30}$/;
const AUDIENCES_MAX = 16;

export interface WhoIsPorts {
  readonly ports: IdentityPorts;
  readonly db: Db;
  readonly keys: SigningKeys;
  readonly lastUsed: LastUsed;
}

/** The caller behind a credential, the versions of its facts, and an assertion for each audience. */
export async function whoIs(by: WhoIsPorts, request: WhoIsRequest) {
  const audiences = parseAudiences(request.audiences);
  const { caller: init, versions } = await identify(by, request);
  const caller = create(CallerSchema, { ...init, address: isIP(request.address) === 0 ? '' : request.address });
  const [signer, claims] = [await by.keys.signer(), claimsOf(caller)];
  const signed = audiences.map(async (audience) => [audience, await signer.sign(claims, audience)] as const);
  return { caller, versions: [...versions], assertions: Object.fromEntries(await Promise.all(signed)) };
}

async function identify(by: WhoIsPorts, { credential, address, audiences }: WhoIsRequest): Promise<Identified> {
  switch (credential.case) {
    case 'tokenSha256':
      return identifyByToken(by, credential.value, address);
    case 'sessionSha256':
      return identifyBySession(by, credential.value, address);
    case 'browserSha256':
      // Nobody else has to know what this is.
      if (audiences.some((audience) => audience !== 'identity')) throw endedBrowserLogin();
      return identifyByBrowser(await findBrowserFacts(by.db, { sha256: credential.value }), by.ports.clock());
    case 'password':
      return identifyByLogin(by, credential.value, address);
    case undefined:
      throw new Fault('invalid', 'A question who somebody is needs a token, a session or a password.');
  }
}

async function identifyByToken(by: WhoIsPorts, sha256: Uint8Array, address: string): Promise<Identified> {
  const facts = await findTokenFacts(by.db, { sha256 });
  const identified = identifyToken(facts, by.ports.clock());
  if (facts === undefined) return identified;
  const makers = await checkMaker(by.ports, facts);
  by.lastUsed.note({ kind: 'token', id: facts.id, lastUsedAt: facts.lastUsedAt, address });
  return { ...identified, versions: [...identified.versions, ...makers] };
}

async function identifyBySession(by: WhoIsPorts, sha256: Uint8Array, address: string): Promise<Identified> {
  const nowMs = by.ports.clock();
  const facts = await findSessionFacts(by.db, { sha256 });
  const identified = identifySession(facts, nowMs, nowMs);
  if (facts !== undefined) {
    by.lastUsed.note({ kind: 'session', id: facts.id, lastUsedAt: facts.lastUsedAt, address });
  }
  return identified;
}

async function identifyByLogin(
  { db, ports }: WhoIsPorts,
  credential: PasswordCredential,
  address: string,
): Promise<Identified> {
  const login = foldLogin(credential.login);
  const facts = isLogin(login) ? await findPasswordFacts(db, { login }) : undefined;
  // Taken before the password is checked: a change of it in the meantime then counts as later.
  const verifiedMs = ports.clock();
  const isRight = await isPasswordOf(credential.password, facts?.hash ?? undefined);
  // The state of the account is told only to who has the password.
  if (facts === undefined || !isRight) {
    await recordFailure(ports, facts, address);
    throw wrongPassword();
  }
  try {
    return identifyByPassword(facts, verifiedMs);
  } catch (error) {
    // Of an account that is disabled or deleted.
    await recordFailure(ports, facts, address);
    throw error;
  }
}

/** For an unknown login too, so that both take as long. Its text is not kept: people type passwords into the wrong field. */
function recordFailure(
  { pool, clock }: IdentityPorts,
  facts: PasswordFacts | undefined,
  address: string,
): Promise<void> {
  const { login = '', accountId: ownerId = '' } = facts ?? {};
  const resource = facts === undefined ? 'an unknown login' : `user ${login}`;
  return addAudit(pool, { actor: { login, address }, action: 'login.failed', ownerId, resource }, clock());
}

function parseAudiences(audiences: readonly string[]): readonly string[] {
  const distinct = [...new Set(audiences)];
  if (distinct.length > AUDIENCES_MAX || !distinct.every((audience) => AUDIENCE.test(audience))) {
    throw new Fault('invalid', `An assertion is for a service, by its name, and for at most ${AUDIENCES_MAX} at once.`);
  }
  return distinct;
}
