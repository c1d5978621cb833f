import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly user?: string;
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly disable?: boolean };
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly networks: readonly string[];
}

const deploy = join(process.cwd(), 'deploy');
const text = readFileSync(join(deploy, 'compose.yaml'), 'utf8');
const compose = parse(text, { merge: true }) as { readonly services: Readonly<Record<string, Service>> };
const services = Object.entries(compose.services);
const ROLES = ['gateway', 'identity', 'authz', 'packages', 'conda-index', 'pypi-index'];

describe('deploy/compose.yaml', () => {
  const schema = JSON.parse(readFileSync(join(deploy, 'schema', 'compose-spec.json'), 'utf8')) as object;
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);

  it('obeys the schema of the Compose Specification', () => {
    validate(compose);
    expect(validate.errors ?? []).toEqual([]);
  });

  it('would not, with a word that the specification does not know', () => {
    expect(validate({ services: { gateway: { image: 'x', read_onyl: true } } })).toBe(false);
  });

  it('runs each role once, and the migrations before them', () => {
    const commands = services
      .filter(([, { image }]) => image.startsWith('${VIVARIUM_IMAGE'))
      .map(([, { command }]) => command);
    // The last is for whatever an operator asks, and is not started by itself.
    expect(commands).toEqual([...ROLES.map((role) => [role]), ['migrate'], ['--help']]);
    expect(compose.services.command?.profiles).toEqual(['command']);
    for (const role of ROLES.filter((each) => each !== 'gateway')) {
      expect([role, compose.services[role]?.depends_on?.migrate]).toEqual([
        role,
        { condition: 'service_completed_successfully' },
      ]);
    }
  });

  it('waits only for services that are there, and for health only of those that report it', () => {
    for (const [name, { depends_on = {} }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        const awaited = compose.services[other];
        expect([name, other, awaited !== undefined]).toEqual([name, other, true]);
        if (condition === 'service_healthy') {
          expect([other, awaited?.healthcheck?.disable ?? false]).toEqual([other, false]);
        }
      }
    }
  });

  it.each(services)('locks %s down', (_name, service) => {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
  });

  it('lets nothing but the gateway be reached from outside', () => {
    const reachable = services.filter(([, { ports, networks }]) => ports !== undefined || networks.includes('outside'));
    expect(reachable.map(([name]) => name)).toEqual(['gateway']);
  });

  it('has no default for a secret', () => {
    const secrets = [...text.matchAll(/\$\{([A-Z0-9_]*(?:SECRET|PASSWORD|ACCESS_KEY)[A-Z0-9_]*)(.*?)\}/g)];
    expect(secrets.length).toBeGreaterThan(5);
    expect(secrets.filter(([, , rest]) => !rest?.startsWith(':?'))).toEqual([]);
  });

  it('gives each role all that it asks for', () => {
    const bus = ['NATS_URL', 'VIVARIUM_SECRET', 'PUBLIC_URL', 'PORT', 'METRICS_PORT', 'DATA_DIR'];
    const blobs = ['S3_ENDPOINT', 'S3_REGION', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'];
    const needs: Readonly<Record<string, readonly string[]>> = {
      gateway: [...bus, ...blobs, 'REDIS_URL'],
      identity: [...bus, 'DATABASE_URL'],
      authz: [...bus, 'DATABASE_URL'],
      packages: [...bus, ...blobs, 'DATABASE_URL'],
      'conda-index': [...bus, ...blobs, 'DATABASE_URL'],
      'pypi-index': [...bus, ...blobs, 'DATABASE_URL'],
      migrate: ['DATABASE_URL'],
    };
    for (const [role, names] of Object.entries(needs)) {
      const given = Object.keys(compose.services[role]?.environment ?? {});
      expect([role, names.filter((name) => !given.includes(name))]).toEqual([role, []]);
    }
  });
});

describe('deploy/nats.conf', () => {
  const conf = readFileSync(join(deploy, 'nats.conf'), 'utf8');
  const users = new Map(
    [...conf.matchAll(/user: "([a-z-]+)", password: \$(\w+)/g)].map(([, user, name]) => [user, name]),
  );

  it('has a user for each role and one for commands, each of which alone is told its password', () => {
    expect([...users.keys()]).toEqual([...ROLES, 'platform']);
    for (const [name, { environment = {} }] of services) {
      const { NATS_URL, ...others } = environment;
      const user = name === 'command' ? 'platform' : name;
      if (!users.has(user)) expect([name, NATS_URL]).toEqual([name, undefined]);
      else expect(NATS_URL).toBe(`nats://${user}:\${${users.get(user)}:?run deploy/env.sh first}@nats:4222`);
      const told = Object.keys(others).filter((variable) => variable.startsWith('NATS_PASSWORD'));
      expect([name, told]).toEqual([name, name === 'nats' ? [...users.values()] : []]);
    }
  });
});

describe('deploy/env.sh', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vivarium-env-'));
  const script = join(folder, 'env.sh');
  const run = () => execFileSync('bash', [script], { stdio: 'pipe' });
  const variables = () =>
    new Map(
      readFileSync(join(folder, '.env'), 'utf8')
        .split('\n')
        .filter((line) => /^[A-Z]/.test(line))
        .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  beforeAll(() => {
    copyFileSync(join(deploy, 'env.sh'), script);
    run();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('sets every variable that compose.yaml insists on', () => {
    const required = new Set([...text.matchAll(/\$\{([A-Z0-9_]+):\?/g)].map(([, name]) => name));
    expect([...required].filter((name) => !variables().get(name ?? ''))).toEqual([]);
  });

  it('makes secrets that differ, are long, and can stand in an address and in nats.conf', () => {
    const secrets = [...variables()].filter(([name]) => /SECRET|PASSWORD/.test(name)).map(([, value]) => value);
    expect(new Set(secrets).size).toBe(secrets.length);
    for (const secret of secrets) expect(secret).toMatch(/^[a-z][0-9a-f]{48}$/);
  });

  it('keeps the file to its owner, and never replaces it', () => {
    expect(statSync(join(folder, '.env')).mode & 0o777).toBe(0o600);
    const before = variables();
    run();
    expect(variables()).toEqual(before);
  });

  it('adds what a newer version needs to the file of an older one, and leaves the rest', () => {
    const before = variables();
    const older = [...before].filter(([name]) => !name.startsWith('NATS_PASSWORD_')).map((pair) => pair.join('='));
    writeFileSync(join(folder, '.env'), `${older.join('\n')}\nNATS_PASSWORD=former\n`, { mode: 0o600 });
    run();
    const after = variables();
    expect([...after.keys()].sort()).toEqual([...before.keys(), 'NATS_PASSWORD'].sort());
    for (const pair of older) expect(readFileSync(join(folder, '.env'), 'utf8')).toContain(`${pair}\n`);
    expect(statSync(join(folder, '.env')).mode & 0o777).toBe(0o600);
  });
});
