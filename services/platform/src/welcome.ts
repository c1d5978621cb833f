import type { Config } from '@vivarium/boot/config';
import type { Administrator } from './first-administrator.js';

/** What a person sees once everything runs: addresses, the first login, and the lines to paste next. */
export function welcome(config: Config, administrator: Administrator | undefined): string {
  const { publicUrl, hosts, dataDir } = config;
  const lines = [
    '',
    'Vivarium is ready.',
    '',
    `  web     ${publicUrl}/`,
    `  API     ${publicUrl}/api            (also http://${hosts.api}/)`,
    `  conda   ${publicUrl}/conda/CHANNEL  (also ${publicUrl}/CHANNEL, http://${hosts.conda}/CHANNEL)`,
    `  PyPI    ${publicUrl}/pypi/CHANNEL   (also http://${hosts.pypi}/CHANNEL)`,
    `  data    ${dataDir}`,
    '',
    ...administratorLines(administrator),
    'Next, in another terminal (pip install anaconda-client):',
    '',
    '  export ANACONDA_CLIENT_FORCE_STANDALONE=1 ANACONDA_CLIENT_LEGACY_INTERACTIVE_LOGIN=1',
    `  anaconda config --set url ${publicUrl}/api`,
    '  anaconda login --username admin',
    '  anaconda upload some-package-1.0-0.conda',
    '  anaconda upload some_package-1.0-py3-none-any.whl',
    '',
    `  conda install -c ${publicUrl}/conda/admin some-package`,
    `  pip install --index-url ${publicUrl}/pypi/admin/simple some-package`,
    '',
    'Ctrl-C stops it; everything is kept.',
    '',
  ];
  return lines.join('\n');
}

function administratorLines(administrator: Administrator | undefined): readonly string[] {
  if (administrator === undefined || !administrator.isNew) return [];
  const { login, password } = administrator;
  const secret = password === undefined ? 'the password in VIVARIUM_ADMIN_PASSWORD' : password;
  return [
    `  login     ${login}`,
    `  password  ${secret}${password === undefined ? '' : '     (shown this once; keep it)'}`,
    '',
  ];
}
