import type { Schema } from './schemas.js';

/** What the one who asks must be able to do, in the verbs of the access model; decided by the services, never here. */
export type Action =
  /** Nothing is asked of anybody. */
  | 'anybody'
  /** Any account, by any credential. */
  | 'self'
  | `${'read' | 'create' | 'write' | 'admin' | 'own'} ${'package' | 'channel' | 'groups' | 'organization' | 'tokens'}`
  /** The management of accounts. */
  | 'superuser'
  /** A ticket, an invitation or a token in the body, which is its own right. */
  | 'secret';

/** One route of the API, as its readers need it. */
export interface Operation {
  readonly action: Action;
  readonly summary: string;
  /** What is worth saying beyond the summary. */
  readonly detail?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Schema;
  /** Of an answer that is no error. */
  readonly status: number;
  /** Absent: the answer has no body. */
  readonly answer?: Schema | 'bytes' | 'page';
}

/** By `METHOD /path`, as the router has it. */
export type Operations = Readonly<Record<string, Operation>>;
