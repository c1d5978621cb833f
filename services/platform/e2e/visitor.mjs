// A browser for tests, started as one: `node visitor.mjs URL`. It goes where it is sent with its cookies, fills in the forms
// of the login page with what the environment says, and writes to the file VISITOR_LOG a line of JSON for each address.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const { VISITOR_LOGIN = '', VISITOR_PASSWORD = '', VISITOR_DECISION = 'allow', VISITOR_LOG = '' } = process.env;
const jars = new Map();

async function visit(url, form) {
  const { origin } = new URL(url);
  const jar = jars.get(origin) ?? new Map();
  jars.set(origin, jar);
  const headers = { Accept: 'text/html', Cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') };
  const sent = form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) };
  if (form !== undefined) headers.Origin = origin;
  const answer = await fetchPatiently(url, { redirect: 'manual', headers, ...sent });
  for (const cookie of answer.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
    jar.set(name, value);
  }
  const text = await answer.text();
  appendFileSync(VISITOR_LOG, `${JSON.stringify({ url, status: answer.status, text })}\n`);
  return { answer, text };
}

/** The program that started us begins to listen only after that. */
async function fetchPatiently(url, options) {
  for (let tries = 0; ; tries++) {
    try {
      return await fetch(url, options);
    } catch (error) {
      if (tries === 100 || error.cause?.code !== 'ECONNREFUSED') throw error;
      await sleep(100);
    }
  }
}

function formIn(html) {
  const [, action] = /<form method="post" action="([^"]+)">/.exec(html) ?? [];
  if (action === undefined) return undefined;
  const plain = (text) => text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
  const hidden = [...html.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)];
  const fields = Object.fromEntries(hidden.map(([, name, value]) => [name, plain(value)]));
  if (html.includes('name="password"')) Object.assign(fields, { login: VISITOR_LOGIN, password: VISITOR_PASSWORD });
  if (html.includes('name="decision"')) fields.decision = VISITOR_DECISION;
  return { action, fields };
}

let next = { url: process.argv[2] };
for (let steps = 0; next !== undefined && steps < 12; steps++) {
  const { answer, text } = await visit(next.url, next.form);
  const location = answer.headers.get('location');
  const form = answer.status === 200 ? formIn(text) : undefined;
  if (location !== null) next = { url: new URL(location, next.url).href };
  else if (form !== undefined) next = { url: new URL(form.action, next.url).href, form: form.fields };
  else next = undefined;
}
