import type { Blobs } from '@vivarium/blobs/blobs';

/** The store, stopped before its first delete of an object until it is let go. */
export function stoppedBeforeDelete(blobs: Blobs, prefix: string) {
  let reach = () => undefined as unknown;
  let letGo = () => undefined as unknown;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const stopped = new Proxy(blobs, {
    get(target, name) {
      if (name === 'delete') {
        return async (key: string) => {
          if (key.startsWith(prefix)) {
            reach();
            await gate;
          }
          return target.delete(key);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { blobs: stopped, reached, letGo: () => void letGo() };
}
