// Checks who imports whom (.dependency-cruiser.mjs), and that no room is a barrel or a junk room.
// Usage: node scripts/boundaries.mjs [FOLDER, default the repository]; prints `rule: from → to` lines, exit 1 if any.
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Complaint, isMain, repositoryRoot, runScript } from './node24.mjs';
import { runTool } from './tools.mjs';

const JUNK_ROOMS = new Set(['utils', 'common', 'shared', 'helpers', 'core']);
const NOT_OURS = new Set(['node_modules', 'dist', 'gen']);

/** The violations under a folder of the repository ('' for all of it), sorted. */
export function violationsIn(folder) {
  const rooms = ['libs', 'services']
    .map((group) => join(folder, group))
    .filter((room) => existsSync(join(repositoryRoot, room)));
  return [...importViolations(rooms), ...rooms.flatMap((room) => roomViolations(join(repositoryRoot, room)))].sort();
}

function importViolations(rooms) {
  const { output, stdout } = runTool('depcruise', [
    '--config',
    '.dependency-cruiser.mjs',
    '--output-type',
    'json',
    ...rooms,
  ]);
  const report = parseReport(stdout, output);
  return report.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);
}

// The exit code is the number of violations, so only the report itself tells a finding from a failure.
function parseReport(stdout, output) {
  try {
    const report = JSON.parse(stdout);
    if (report.summary.totalCruised > 0) return report;
  } catch {
    // Not a report: said below, with what was printed instead.
  }
  throw new Complaint(`dependency-cruiser cruised nothing:\n${output.slice(0, 4000)}`);
}

function roomViolations(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    const shown = relative(repositoryRoot, path);
    if (!entry.isDirectory()) return /^index\.[cm]?[jt]sx?$/.test(entry.name) ? [`no-barrels: ${shown}`] : [];
    if (NOT_OURS.has(entry.name)) return [];
    return [...(JUNK_ROOMS.has(entry.name) ? [`no-junk-rooms: ${shown}`] : []), ...roomViolations(path)];
  });
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    const violations = violationsIn(process.argv[2] ?? '');
    for (const violation of violations) console.log(violation);
    return violations.length === 0 ? 0 : 1;
  });
}
