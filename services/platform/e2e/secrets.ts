import type { Product } from '@vivarium/testkit/product';

/** The secrets that a test made, and where they must not be. */
export class Secrets {
  readonly #known = new Map<string, string>();

  /** Remembers a secret under a name that may be shown, and gives it back. */
  keep(name: string, secret: string): string {
    this.#known.set(secret, name);
    return secret;
  }

  get size(): number {
    return this.#known.size;
  }

  /**
   * Names of the secrets that stand in the text: whole, percent-encoded, in the base64 of a Basic header, or cut after
   * sixteen characters.
   */
  foundIn(text: string): readonly string[] {
    return [...this.#known]
      .filter(([secret]) => formsOf(secret).some((form) => text.includes(form)))
      .map(([, name]) => name);
  }

  /** What a product wrote that it should have kept to itself; its own secrets count too. */
  toldBy(product: Product): readonly string[] {
    const said = product.logs();
    const own = product.secrets.filter((secret) => formsOf(secret).some((form) => said.includes(form)));
    return [...this.foundIn(said), ...own.map((_, at) => `secret ${at + 1} of the configuration`)];
  }
}

function formsOf(secret: string): readonly string[] {
  const forms = [secret, encodeURIComponent(secret), secret.slice(0, 16)];
  // Three alignments: what stands before it in a header shifts its base64.
  for (const before of ['', ':', '::']) {
    const encoded = Buffer.from(before + secret).toString('base64');
    forms.push(encoded.slice(before === '' ? 0 : 4, -4));
  }
  return forms.filter((form) => form.length >= 8);
}
