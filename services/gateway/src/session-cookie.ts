import { PLAIN_SESSION_COOKIE, SESSION_COOKIE } from './credential.js';

/**
 * The cookie of a browser's session: scripts cannot read it, other sites cannot make it go with a change, and over https no
 * other host and no plain http can set it. Without a value it is taken away.
 */
export function sessionCookie(publicUrl: string, value: string, maxAgeSeconds: number): string {
  const isSecure = publicUrl.startsWith('https:');
  const name = isSecure ? SESSION_COOKIE : PLAIN_SESSION_COOKIE;
  const cookie = `${name}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;
  return isSecure ? `${cookie}; Secure` : cookie;
}
