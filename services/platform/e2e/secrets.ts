import { findSecrets, formsOf } from '@vivarium/testkit/find-secrets';
import type { Product } from '@vivarium/testkit/product';
import { recordSecret } from '@vivarium/testkit/run-record';

/** The secrets that a test made, and where they must not be. */
export class Secrets {
  readonly #known = new Map<string, string>();

  /** Remembers a secret under a name that may be shown, and gives it back. */
  keep(name: string, secret: string): string {
    this.#known.set(secret, name);
    recordSecret(name, secret);
    return secret;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Names of the secrets that stand in the text, in any form that is known. */
  foundIn(text: string): readonly string[] {
    return findSecrets(this.#known, [{ source: 'text', text }]).map(({ name }) => name);
  }

  /** What a product wrote that it should have kept to itself; its own secrets count too. */
  toldBy(product: Product): readonly string[] {
    const said = product.logs();
    const own = product.secrets.filter((secret) => formsOf(secret).some((form) => said.includes(form)));
    return [...this.foundIn(said), ...own.map((_, at) => `secret ${at + 1} of the configuration`)];
  }
}
