import type { Express } from 'express';

/** An address that the router answers, as it was registered: `:name` is one segment, `*name` one or more. */
export interface Route {
  /** In capitals. */
  readonly method: string;
  readonly path: string;
}

/** Every route of a running application, read from its router: a list by hand would miss the one that was forgotten. */
export function routesOf(app: Express): readonly Route[] {
  return app.router.stack.flatMap(({ route }) => {
    if (route === undefined) return [];
    const methods = new Set(route.stack.map(({ method }) => method.toUpperCase()));
    return [...methods].map((method) => ({ method, path: route.path }));
  });
}
