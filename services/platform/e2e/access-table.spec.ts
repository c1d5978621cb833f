import { zstdDecompressSync } from 'node:zlib';
import { jest } from '@jest/globals';
import { decode } from '@msgpack/msgpack';
import { admitReader } from '@vivarium/access/admission';
import { audienceOf } from '@vivarium/access/audience';
import { decide } from '@vivarium/access/decide';
import {
  accessOf,
  callerOf,
  channels,
  facts,
  namesOf,
  questionOf,
  rows,
  standingOf,
} from '@vivarium/access/decide.conformance';
import { sees } from '@vivarium/access/view';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { World } from './access-world.js';
import type { Answered } from './ask.js';
import { Secrets } from './secrets.js';

jest.setTimeout(300_000);

const secrets = new Secrets();
let product: Product;
let world: World;

beforeAll(async () => {
  product = await startProduct({ env: { TRUSTED_PROXIES: '127.0.0.1' } });
  world = await World.make(product, secrets);
});

afterAll(async () => {
  await product?.stop();
});

const JSON_V1 = 'application/vnd.pypi.simple.v1+json';
const HOME = '198.51.100.77';

/** What a caller of the model may see of a channel by a door, as the function that decides says. */
function expectedOf(who: string, login: string, use: 'conda' | 'pypi' | 'api') {
  const { caller, account } = callerOf(who);
  const standing = standingOf(account, login);
  const row = channels[login];
  if (row === undefined) throw new Error(`no channel ${login}`);
  const all = Object.entries(row.packages).map(([name, one]) => ({
    name,
    ...accessOf(login, name, one),
    names: namesOf(name, one, use),
  }));
  const audiences = all.map(audienceOf);
  const channel = { id: login, login, ownerId: login, defaultVisibility: row.default, audiences };
  const admission = admitReader({
    caller,
    standing,
    channel,
    use,
    address: HOME,
    ...(use === 'conda' ? { subdir: 'noarch' } : {}),
  });
  if (admission.kind === 'deny') return undefined;
  const inside = all.filter((one) =>
    one.names.some((name) => sees(admission.view, { audience: audienceOf(one), name })),
  );
  return inside.map(({ name }) => name).sort();
}

const nameOfPython = (login: string, project: string) =>
  Object.entries(channels[login]?.packages ?? {}).find(([name, { python = name }]) => python === project)?.[0] ??
  project;

/** Names in an answer, sorted; undefined if it was refused. Throws an Error for an answer that nobody may get. */
function namesIn(answered: Answered, read: (answered: Answered) => readonly string[]): readonly string[] | undefined {
  if (answered.status === 200) return [...new Set(read(answered))].sort();
  if ([401, 403, 404].includes(answered.status)) return undefined;
  throw new Error(`${answered.status}: ${answered.text()}`);
}

interface Repodata {
  readonly packages: Readonly<Record<string, { readonly name: string }>>;
  readonly 'packages.conda': Readonly<Record<string, { readonly name: string }>>;
}
const inRepodata = ({ packages, 'packages.conda': more }: Repodata) =>
  Object.values({ ...packages, ...more }).map(({ name }) => name);
const inShards = ({ bytes }: Answered) =>
  Object.keys((decode(zstdDecompressSync(bytes)) as { readonly shards: object }).shards);

/** Every way in which somebody can learn which packages a channel holds. */
const LISTINGS: Readonly<Record<string, (who: string, login: string) => Promise<readonly string[] | undefined>>> = {
  'conda json': async (who, login) =>
    namesIn(await world.read(who, `/conda/${login}/noarch/repodata.json`), (answered) => inRepodata(answered.json())),
  'conda zst': async (who, login) =>
    namesIn(await world.read(who, `/conda/${login}/noarch/repodata.json.zst`), ({ bytes }) =>
      inRepodata(JSON.parse(zstdDecompressSync(bytes).toString())),
    ),
  'conda shards': async (who, login) =>
    namesIn(await world.read(who, `/conda/${login}/noarch/repodata_shards.msgpack.zst`), inShards),
  'conda channeldata': async (who, login) =>
    namesIn(await world.read(who, `/conda/${login}/channeldata.json`), (answered) =>
      Object.keys(answered.json<{ packages: object }>().packages),
    ),
  'conda run_exports': async (who, login) =>
    namesIn(await world.read(who, `/conda/${login}/noarch/run_exports.json`), (answered) =>
      Object.keys(answered.json<Repodata>()['packages.conda']).map((filename) => filename.replace('-1.0-0.conda', '')),
    ),
  'pypi json': async (who, login) =>
    namesIn(await world.read(who, `/pypi/${login}/simple/`, { accept: JSON_V1 }), (answered) =>
      answered.json<{ projects: { name: string }[] }>().projects.map(({ name }) => nameOfPython(login, name)),
    ),
  'pypi html': async (who, login) =>
    namesIn(await world.read(who, `/pypi/${login}/simple/`, { accept: 'text/html' }), (answered) =>
      [...answered.text().matchAll(/<a href="([^"/]+)\/"/g)].map(([, name = '']) => nameOfPython(login, name)),
    ),
  'api list': async (who, login) =>
    namesIn(await world.ask(who, `/api/packages/${login}`), (answered) =>
      answered.json<{ name: string }[]>().map(({ name }) => name),
    ),
};

describe('everybody sees in every listing of every channel what the model says, and nothing else', () => {
  it.each(Object.keys(LISTINGS))('%s', async (name) => {
    const listing = LISTINGS[name];
    const use = name.startsWith('conda') ? 'conda' : name.startsWith('pypi') ? 'pypi' : 'api';
    const wrong: string[] = [];
    for (const who of world.callers) {
      for (const login of Object.keys(channels)) {
        const [expected, seen] = [expectedOf(who, login, use), await listing?.(who, login)];
        if (JSON.stringify(seen) !== JSON.stringify(expected)) {
          wrong.push(
            `${who} in ${login}: ${seen?.join(' ') ?? 'refused'} instead of ${expected?.join(' ') ?? 'refused'}`,
          );
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('search', async () => {
    const wrong: string[] = [];
    for (const who of world.callers) {
      const answered = await world.ask(who, '/api/search?name=');
      // A token that may not read the API is told so, and finds nothing.
      if (answered.status === 403) {
        expect(answered.text()).toMatch(/lacks the scope api:read|may not be used from/);
        continue;
      }
      const seen = answered
        .json<{ full_name: string }[]>()
        .map(({ full_name }) => full_name)
        .sort();
      const row = facts.tokens[who];
      const expected = Object.keys(channels).flatMap((login) => {
        const inside = expectedOf(who, login, 'api');
        // Where a token is cut off loudly from a channel, a search over all shows what anybody may see of it.
        const names = inside ?? (row === undefined ? [] : (expectedOf('anonymous', login, 'api') ?? []));
        return names.map((name) => `${login}/${name}`);
      });
      if (JSON.stringify(seen) !== JSON.stringify(expected.sort()))
        wrong.push(`${who}: ${seen.join(' ')} instead of ${expected.join(' ')}`);
    }
    expect(wrong).toEqual([]);
  });
});

describe('everybody gets of every package what the model says', () => {
  const DOORS = ['conda', 'pypi', 'api'] as const;
  const PATHS: Readonly<Record<(typeof DOORS)[number], (login: string, name: string) => string>> = {
    conda: (login, name) => `/conda/${login}/noarch/${name}-1.0-0.conda`,
    pypi: (login, name) => {
      const file = `${(channels[login]?.packages[name]?.python ?? name).replaceAll('-', '_')}-1.0-py3-none-any.whl`;
      return `/pypi/${login}/files/${world.wheels.get(`${login}/${name}`)}/${file}`;
    },
    api: (login, name) => `/api/package/${login}/${name}`,
  };

  it.each(DOORS)('through %s', async (door) => {
    const wrong: string[] = [];
    const counts = { allowed: 0, denied: 0 };
    for (const who of world.callers) {
      for (const [login, { packages }] of Object.entries(channels)) {
        for (const [name, row] of Object.entries(packages)) {
          const { caller, account } = callerOf(who);
          const one = { ...accessOf(login, name, row), names: namesOf(name, row, door) };
          const audiences = Object.entries(packages).map(([key, other]) => audienceOf(accessOf(login, key, other)));
          const channel = {
            id: login,
            login,
            ownerId: login,
            defaultVisibility: channels[login]?.default ?? 'public',
            audiences,
          };
          const resource = {
            kind: 'package',
            // Uploaders look at a package before they change it.
            use: door === 'api' ? 'upload' : door,
            address: HOME,
            ...(door === 'conda' ? { subdir: 'noarch' } : {}),
          } as const;
          const { allow } = decide(
            caller,
            { standing: standingOf(account, login), channel, package: one },
            'read',
            resource,
          );
          const path = PATHS[door](login, name);
          const { status } = await (door === 'api' ? world.ask(who, path) : world.read(who, path));
          counts[allow ? 'allowed' : 'denied'] += 1;
          if ((status === 200) !== allow || ![200, 401, 403, 404].includes(status))
            wrong.push(`${who} ${login}/${name}: ${status}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(Math.min(counts.allowed, counts.denied)).toBeGreaterThan(30);
  });
});

/** A request that succeeds if the line allows it, and changes nothing that another line asks about. */
function attemptOf(line: string): (() => Promise<Answered>) | undefined {
  const { verb, resource } = questionOf(line);
  const [who = ''] = line.split(' ');
  const place = / (?:channel|organization|package|of) (\S+)/.exec(line)?.[1] ?? '';
  const [login = '', name = ''] = place.split('/');
  const from = / from (\S+)/.exec(line)?.[1] ?? HOME;
  const { use, subdir = 'noarch' } = resource;
  const said = typeof resource.label === 'string' ? [resource.label] : (resource.label ?? []);
  // A line that names no label leaves it to the uploader, who knows what the token may do.
  const labels = verb === 'create' ? (facts.tokens[who]?.labels ?? said) : said;
  const api =
    (path: string, method = 'GET', body?: object) =>
    () =>
      world.ask(who, `/api${path}`, { method, from, ...(body === undefined ? {} : { body }) });
  const kind = /^upload:(\w+)$/.exec(use)?.[1];
  if (resource.kind === 'groups') {
    return verb === 'read' ? api(`/groups/${login}`) : api(`/group/${login}/idle`, 'PATCH', { permission: 'admin' });
  }
  if (resource.kind === 'tokens') {
    // Superusers manage everybody's tokens, as they do accounts: that is no right in a channel.
    if (facts.superusers.includes(who)) return undefined;
    if (verb === 'read') return login in facts.organizations ? api(`/authentications/org/${login}`) : undefined;
    if (!(login in facts.organizations)) return undefined;
    return api('/authentications', 'POST', { note: `by ${who}`, scopes: ['api:read'], user: login });
  }
  if (resource.kind === 'audit') return api(`/audit?owner=${login}&limit=5`);
  if (resource.kind === 'organization') {
    return verb === 'read' ? api(`/user/${login}`) : api(`/organizations/${login}`, 'PATCH', { name: login });
  }
  if (resource.kind === 'channel') {
    if (verb === 'admin') return api(`/channels/${login}/unlocked/lock`, 'DELETE');
    if (verb !== 'read') return undefined;
    if (use === 'conda') return () => world.read(who, `/conda/${login}/noarch/repodata.json`, { from });
    return use === 'pypi' ? () => world.read(who, `/pypi/${login}/simple/`, { from }) : api(`/packages/${login}`);
  }
  const staged = (type: string, basename: string) =>
    api(`/stage/${login}/${name}/9.0/${basename}`, 'POST', { distribution_type: type, attrs: {}, channels: labels });
  if (kind !== undefined && (verb === 'write' || verb === 'create')) {
    if (kind === 'conda') return staged('conda', `${subdir}/${name}-9.0-0.conda`);
    if (kind === 'pypi') return staged('pypi', `${name.replaceAll('-', '_')}-9.0-py3-none-any.whl`);
    return staged(kind, `${name}.bin`);
  }
  if (verb === 'admin' && use === 'api') return api(`/packages/${login}/${name}/collaborators`);
  if (verb === 'write' && use === 'api') return api(`/channels/${login}/main`, 'POST', { package: name });
  if (verb === 'write' && use === 'upload') return api(`/package/${login}/${name}`, 'PATCH', { public_attrs: {} });
  if (verb !== 'read') return undefined;
  const label = labels.length === 1 ? `/label/${labels[0]}` : '';
  if (use === 'conda') return () => world.read(who, `/conda/${login}${label}/${subdir}/${name}-1.0-0.conda`, { from });
  const isPublic = channels[login]?.packages[name]?.visibility === 'public';
  if (use === 'upload' || (use === 'api' && isPublic)) return api(`/package/${login}/${name}`);
  // A package's own page also answers those who upload; the list answers readers of the API alone.
  return use === 'api' ? () => listed(who, login, name, from) : undefined;
}

async function listed(who: string, login: string, name: string, from: string): Promise<Answered> {
  const answered = await world.ask(who, `/api/packages/${login}`, { from });
  const isThere = answered.status !== 200 || answered.json<{ name: string }[]>().some((each) => each.name === name);
  return isThere ? answered : { ...answered, status: 404 };
}

describe('each line of the model', () => {
  it('is what happens when somebody tries', async () => {
    const wrong: string[] = [];
    let tried = 0;
    for (const { line, allowed } of rows) {
      const attempt = attemptOf(line);
      if (attempt === undefined) continue;
      tried += 1;
      const { status, text } = await attempt();
      const isRefused = [401, 403, 404].includes(status);
      if (allowed ? status >= 300 : !isRefused) wrong.push(`${line}: ${status} ${text().slice(0, 200)}`);
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(180);
  });

  it('is explained in its words to those who administer what it is about', async () => {
    const wrong: string[] = [];
    let asked = 0;
    for (const { line, allowed, reason } of rows) {
      const { verb, resource } = questionOf(line);
      const [who = ''] = line.split(' ');
      const place = / (?:channel|package) (\S+)/.exec(line)?.[1];
      const token = facts.tokens[who];
      const labels = resource.label ?? [];
      if (place === undefined || who === 'anonymous' || labels.length > 1) continue;
      const [login = ''] = place.split('/');
      const query = new URLSearchParams({
        as: token?.of ?? who,
        verb,
        resource: place,
        via: resource.use,
        ...(token === undefined ? {} : { token: who }),
        ...(labels[0] === undefined ? {} : { label: labels[0] }),
        ...(resource.subdir === undefined ? {} : { subdir: resource.subdir }),
        ...(resource.address === undefined ? {} : { address: resource.address }),
      });
      const owner = channels[login]?.owners?.[0] ?? login;
      const answered = await world.ask(owner, `/api/can-i?${query}`);
      asked += 1;
      const said = answered.status === 200 ? answered.json<{ allow: boolean; reason: string }>() : undefined;
      const isSame = said?.allow === allowed && said.reason.includes(reason);
      if (!isSame) wrong.push(`${line}: ${answered.status} ${answered.text().slice(0, 300)}`);
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(150);
  });
});
