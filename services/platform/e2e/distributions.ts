import {
  aCondaPackage,
  anSdist,
  aWheel,
  type CondaPackageSpec,
  type SdistSpec,
  type WheelSpec,
} from '@vivarium/testkit/builders';
import type { Distribution } from './publisher.js';

/** A conda package and what the client says of it. */
export function condaPackage(spec: CondaPackageSpec): Distribution & { readonly sha256: string } {
  const { name, version, build = '0' } = spec;
  const { filename, bytes, subdir, sha256 } = aCondaPackage(spec);
  const attrs = {
    subdir,
    build,
    build_number: 0,
    depends: spec.depends ?? [],
    license: 'Apache-2.0',
    operatingsystem: null,
    machine: null,
    'target-triplet': 'None-any-None',
    has_prefix: false,
  };
  return { type: 'conda', name, version, basename: `${subdir}/${filename}`, bytes, attrs, sha256 };
}

/** A wheel and what the client says of it. */
export function wheel(spec: WheelSpec): Distribution & { readonly sha256: string } {
  const { filename, bytes, sha256 } = aWheel(spec);
  const attrs = { build_no: '', python_version: 'py3', abi: null, packagetype: 'bdist_wheel' };
  return { type: 'pypi', name: spec.name, version: spec.version, basename: filename, bytes, attrs, sha256 };
}

/** A source distribution and what the client says of it. */
export function sdist(spec: SdistSpec): Distribution & { readonly sha256: string } {
  const { filename, bytes, sha256 } = anSdist(spec);
  const attrs = { packagetype: 'sdist', python_version: 'source' };
  return { type: 'pypi', name: spec.name, version: spec.version, basename: filename, bytes, attrs, sha256 };
}
