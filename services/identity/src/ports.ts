import type { DatabasePorts } from '@vivarium/boot/ports';
import type { KeyPolicy } from './key-plan.js';
import type { Mailer } from './mailer.js';

/** Who may make an account: nobody but superusers, who was invited, or anybody. */
export type SignUpPolicy = 'closed' | 'invitation' | 'open';

/** What identity is given by whoever starts it. */
export interface IdentityPorts extends Pick<DatabasePorts, 'bus' | 'pool' | 'trust' | 'invalidations' | 'clock'> {
  readonly log: Pick<DatabasePorts['log'], 'warn'>;
  /** The root secret of the installation: signing keys are sealed under a key derived from it. */
  readonly secret: string;
  /** Words that begin our own addresses and therefore are nobody's login. */
  readonly reservedLogins: ReadonlySet<string>;
  /** Closed unless given. */
  readonly signUp?: SignUpPolicy;
  /** What sends mails, and the address of the server that they name. Without it they wait. */
  readonly mail?: { readonly mailer: Mailer; readonly publicUrl: string };
  /** A day and ten minutes unless given. */
  readonly signingKeys?: KeyPolicy;
}
