import type { Counters } from '@vivarium/counters/counters';
import { Fault } from '@vivarium/fault/fault';

const WINDOW_SECONDS = 60;
const TRIES = 10;
// Many people share the address of an office or a build farm; guessing is slowed by the login's own limit too.
const TRIES_FROM_ADDRESS = 60;

/** Too many tries, with the time after which the next one counts. */
export class RateLimited extends Fault {
  constructor(
    message: string,
    readonly retryAfterSeconds: number,
  ) {
    super('rate_limited', message);
  }
}

/** How often a password may be tried: so many times a minute for one login, and so many from one address. */
export class LoginLimit {
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Counts one try, before the password is looked at. Throws RateLimited. */
  async admit(login: string, address: string | undefined): Promise<void> {
    const byLogin = await this.#counters.hit(keyOf(login), WINDOW_SECONDS, TRIES);
    const byAddress = await this.#counters.hit(
      `login from ${address ?? 'nowhere'}`,
      WINDOW_SECONDS,
      TRIES_FROM_ADDRESS,
    );
    const wait = Math.max(byLogin.retryAfterSeconds, byAddress.retryAfterSeconds);
    if (wait > 0) throw new RateLimited(`Too many attempts to sign in. Try again in ${wait} s.`, wait);
  }

  /**
   * The password was right: what was mistyped before does not count any more. The address stays counted, else one account
   * of one's own would open the way to guess at all others.
   */
  async succeeded(login: string): Promise<void> {
    await this.#counters.reset(keyOf(login));
  }
}

const REPORTS = 30;

/** How often leaked tokens may be reported from one address: so many times a minute. */
export class ReportLimit {
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Counts one report, before its body is read. Throws RateLimited. */
  async admit(address: string | undefined): Promise<void> {
    const key = `leaked tokens from ${address ?? 'nowhere'}`;
    const { retryAfterSeconds: wait } = await this.#counters.hit(key, WINDOW_SECONDS, REPORTS);
    if (wait > 0) throw new RateLimited(`Too many reports of leaked tokens. Try again in ${wait} s.`, wait);
  }
}

function keyOf(login: string): string {
  return `login as ${login.trim().toLowerCase()}`;
}
