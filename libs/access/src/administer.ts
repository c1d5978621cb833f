import { type Caller, tokenOf } from './caller.js';
import { holds, type Scope } from './scope.js';

/**
 * True if the caller may manage other people's accounts, where the purpose needs the scope: `api:read` to look, `api` to
 * change, `all` for what would open everything. A superuser; by a token only if nothing restricts it, since what it may do
 * to accounts would lead around every restriction. Opens no channel.
 */
export function administers(caller: Caller, scope: Scope): boolean {
  if (caller.kind === 'anonymous' || !caller.superuser) return false;
  const token = tokenOf(caller);
  if (token === null) return true;
  return holds(token.scopes, scope) && Object.keys(token.restrictions).length === 0;
}
