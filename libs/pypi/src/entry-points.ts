import { Fault } from '@vivarium/fault/fault';

export const MAX_ENTRY_POINTS_BYTES = 1024 ** 2;

const SCRIPTS = /^(?:console|gui)_scripts$/i;

/**
 * Throws Fault('invalid') if entry_points.txt would make an installer write a script anywhere but into the folder of
 * scripts: each name under `console_scripts` and `gui_scripts` becomes a file. Readers disagree on indented lines (folded
 * values for some, lines like others for the rest), so names are looked for in both readings.
 * Source: Entry points specification, "File format".
 */
export function checkEntryPoints(bytes: Uint8Array): void {
  let inScripts = false;
  for (const written of decode(bytes).split(/\r\n|\r|\n/)) {
    const line = written.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const section = /^\[(.*)\]/.exec(line)?.[1];
    if (section !== undefined) {
      const isScripts = SCRIPTS.test(section.trim());
      // An indented header may be the rest of a value, and then does not end the section before it.
      inScripts = isScripts || (inScripts && /^\s/.test(written));
    } else if (inScripts && (line.includes('=') || !/^\s/.test(written)))
      checkScript(line.split('=', 1)[0]?.trim() ?? '');
  }
}

function checkScript(name: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (name !== '' && name !== '.' && name !== '..' && !/[/\\:\x00-\x1f\x7f]/.test(name) && name.length <= 255) return;
  throw new Fault(
    'invalid',
    `entry_points.txt of the wheel names the script ${JSON.stringify(name.slice(0, 200))}, which is not a file name. Rename it.`,
  );
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Fault('invalid', 'entry_points.txt of the wheel is not valid UTF-8. Build the wheel again.', { cause });
  }
}
