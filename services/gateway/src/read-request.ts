import type { Credential } from './credential.js';
import type { Head } from './expiry-warning.js';

/** What the readers of both families need of a request. */
export interface ReadRequest {
  /** Raw path below the family, without the token. */
  readonly path: string;
  readonly credential: Credential;
  /** The client's own address. */
  readonly address: string | undefined;
  readonly accept: string | undefined;
  readonly acceptsGzip: boolean;
  /** `format` of the query, if there is one. */
  readonly format: string | undefined;
  /** Of the answer, for what is to be said of the credential. */
  readonly head: Head;
}
