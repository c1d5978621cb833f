import { readFileSync } from 'node:fs';
import { model, questionOf, rows } from './decide.conformance.js';
import { decide } from './decide.js';

const page = readFileSync(new URL('../../../docs/access.md', import.meta.url), 'utf8');

/** The lines that the page quotes: what is asked, what it says is decided, and why. */
const quoted = [...page.matchAll(/^```access\n(.*?)^```$/gms)].flatMap(([, box = '']) =>
  box
    .trimEnd()
    .split('\n')
    .map((text) => {
      const [, word = '', line = text, reason = ''] = /^(yes|no) +(.*?): (.+)$/.exec(text) ?? [];
      return { word, line, reason };
    }),
);

describe('the page about access', () => {
  it.each(quoted.map(({ word, line, reason }) => [word, line, reason] as const))('%s: %s', (word, line, reason) => {
    expect(rows.find((row) => row.line === line)).toMatchObject({ allowed: word === 'yes' });
    const { caller, facts, verb, resource } = questionOf(line);
    const decision = decide(caller, facts, verb, resource);
    expect({ allow: decision.allow, reason: decision.reason }).toEqual({
      allow: word === 'yes',
      reason: expect.stringContaining(reason),
    });
  });

  it('quotes lines only, none twice, and of every chapter one at least', () => {
    expect(quoted.length).toBeGreaterThan(40);
    expect(new Set(quoted.map(({ line }) => line)).size).toBe(quoted.length);
    const titles = new Set(quoted.map(({ line }) => rows.find((row) => row.line === line)?.title));
    expect(model.chapters.map(({ title }) => title).filter((title) => !titles.has(title))).toEqual([]);
  });
});
