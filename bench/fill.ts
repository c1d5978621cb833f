import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { type Artifact, artifactOf, type Publisher } from './publish.js';

const VERSIONS_PER_NAME = 10;
const AT_ONCE = 8;

/** Publishes through the real upload path, several at once; gives how long it took. */
export async function publishAll(publisher: Publisher, artifacts: readonly Artifact[]): Promise<number> {
  const started = performance.now();
  const waiting = artifacts.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const artifact of waiting) await publisher.publish(artifact);
    }),
  );
  return performance.now() - started;
}

/** So many small conda packages, ten versions of each name. */
export function condaFilling(count: number): readonly Artifact[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `filling-${Math.floor(index / VERSIONS_PER_NAME)}`;
    return condaArtifact(name, `1.${index % VERSIONS_PER_NAME}`);
  });
}

/** So many small wheels, ten versions of each project. */
export function wheelFilling(count: number): readonly Artifact[] {
  return Array.from({ length: count }, (_, index) =>
    wheelArtifact(`wheels-${Math.floor(index / VERSIONS_PER_NAME)}`, `1.${index % VERSIONS_PER_NAME}`),
  );
}

/** A conda package with the usual amount of dependencies. */
export function condaArtifact(name: string, version: string, sizeBytes?: number): Artifact {
  const depends = ['python >=3.10,<3.14', 'numpy >=1.26', 'scipy', 'libstdcxx >=13', '__glibc >=2.17,<3.0.a0'];
  const built = aCondaPackage({ name, version, depends, ...(sizeBytes === undefined ? {} : { sizeBytes }) });
  return artifactOf('conda', name, version, built);
}

export function wheelArtifact(name: string, version: string): Artifact {
  return artifactOf('pypi', name, version, aWheel({ name, version, requiresPython: '>=3.9', requiresDist: ['numpy'] }));
}
