import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Fault } from '@vivarium/fault/fault';
import { deriveKey } from '@vivarium/token/secret';

const NONCE = /^[\w-]{43}$/;

/**
 * Proves that a form which comes back is one that we gave to this very browser, with these very contents. A cookie that no
 * other site can read or send holds a nonce; the form holds the MAC of nonce and contents. Another site can neither make
 * the MAC nor bring the cookie along.
 */
export class FormSeal {
  readonly #key: Uint8Array;
  readonly #name: string;
  readonly #attributes: string;

  constructor(secret: string, publicUrl: string) {
    this.#key = deriveKey(secret, 'forms of the login page');
    const isSecure = publicUrl.startsWith('https:');
    this.#name = isSecure ? '__Host-vivarium-form' : 'vivarium-form';
    this.#attributes = `Path=/; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
  }

  /** The seal for a form with these contents. Sets the cookie. */
  seal(request: IncomingMessage, response: ServerResponse, contents: readonly string[]): string {
    const nonce = this.#nonceOf(request) ?? randomBytes(32).toString('base64url');
    response.appendHeader('Set-Cookie', `${this.#name}=${nonce}; ${this.#attributes}`);
    return this.#macOf(nonce, contents).toString('base64url');
  }

  /** Throws Fault('forbidden') unless the seal was made for this browser and these contents. */
  check(request: IncomingMessage, seal: string, contents: readonly string[]): void {
    const nonce = this.#nonceOf(request);
    const given = Buffer.from(seal, 'base64url');
    if (nonce !== undefined) {
      const wanted = this.#macOf(nonce, contents);
      if (given.length === wanted.length && timingSafeEqual(given, wanted)) return;
    }
    throw new Fault('forbidden', 'This form was not made for this browser, or is too old. Go back and try again.');
  }

  #nonceOf(request: IncomingMessage): string | undefined {
    for (const part of request.headers.cookie?.split(';') ?? []) {
      const [name, value = ''] = part.trim().split('=', 2);
      if (name === this.#name && NONCE.test(value)) return value;
    }
    return undefined;
  }

  #macOf(nonce: string, contents: readonly string[]): Buffer {
    // As JSON, so that no two lists give one text.
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([nonce, ...contents]))
      .digest();
  }
}
