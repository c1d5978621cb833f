import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// USER_HZ, the unit of the times in /proc, is 100 on every architecture that Linux runs on today.
const TICK_MS = 10;

/** Processor time that a process has taken so far, in user and system mode, all threads together. Linux only. */
export function cpuMsOf(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Processes that a process started itself. */
export function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => parentOf(each) === pid);
}

/** Memory of a process that is in use now (RSS). */
export function residentBytesOf(pid: number): number {
  return kilobytesIn(readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmRSS') * 1024;
}

/**
 * Memory of the PostgreSQL server in a data folder: the postmaster and all its processes. Each page that they share is
 * counted once (PSS); their RSS added up would count the shared buffers once per connection.
 */
export function postgresBytesOf(dataDir: string): number {
  const [first = ''] = readFileSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n');
  const postmaster = Number(first);
  return [postmaster, ...childrenOf(postmaster)].reduce((sum, pid) => sum + proportionalBytesOf(pid), 0);
}

/** Busy and stolen processor time of the whole machine so far, all cores together. */
export function machineCpuMs(): { readonly busyMs: number; readonly stolenMs: number } {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = first.split(/\s+/).map(Number);
  return { busyMs: (user + nice + system + irq + softirq) * TICK_MS, stolenMs: steal * TICK_MS };
}

function proportionalBytesOf(pid: number): number {
  try {
    return kilobytesIn(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'), 'Pss') * 1024;
  } catch {
    // A connection's process may end between the two readings.
    return 0;
  }
}

/** The fields after the program's name, which may hold spaces: state, parent, … */
function statOf(pid: number): readonly string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function parentOf(pid: number): number {
  try {
    return Number(statOf(pid)[1]);
  } catch {
    return 0;
  }
}

function kilobytesIn(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
}
