import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Fault } from '@vivarium/fault/fault';
import { z } from 'zod';
import { type MailConfig, mailOf } from './config-mail.js';

export const ROLES = ['gateway', 'identity', 'authz', 'packages', 'conda-index', 'pypi-index'] as const;
export type Role = (typeof ROLES)[number];
export type Target = Role | 'all';

/**
 * Reads the whole configuration once. What is absent selects the embedded driver of its port, which only `all` may use:
 * a single role without what it needs refuses to start and names every missing variable at once.
 * Throws Fault('invalid') with one sentence a line.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, target: Target): Config {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const missing = NEEDS[target].filter((name) => present[name] === undefined);
  if (missing.length > 0) {
    throw new Fault(
      'invalid',
      `The role ${target} needs ${missing.join(', ')}. Set ${missing.length > 1 ? 'them' : 'it'}, or start everything in one process with: vivarium all`,
    );
  }
  const parsed = schema.safeParse(present);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Fault('invalid', `The configuration is not usable.\n${lines.join('\n')}`);
  }
  return configOf(target, parsed.data);
}

const everyService = ['NATS_URL', 'VIVARIUM_SECRET'];
const bytes = ['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'];

const NEEDS: Readonly<Record<Target, readonly string[]>> = {
  all: [],
  gateway: [...everyService, ...bytes, 'REDIS_URL', 'PUBLIC_URL'],
  identity: [...everyService, 'DATABASE_URL'],
  authz: [...everyService, 'DATABASE_URL'],
  packages: [...everyService, ...bytes, 'DATABASE_URL'],
  'conda-index': [...everyService, ...bytes, 'DATABASE_URL'],
  'pypi-index': [...everyService, ...bytes, 'DATABASE_URL'],
};

const port = z.coerce.number().int().min(0).max(65535);
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https address' });

const schema = z.object({
  PORT: port.default(8080),
  HOST: z.string().optional(),
  DATA_DIR: z.string().default('.vivarium'),
  PUBLIC_URL: httpUrl.optional(),
  CONDA_HOST: z.string().optional(),
  PYPI_HOST: z.string().optional(),
  API_HOST: z.string().optional(),
  TRUSTED_PROXIES: z.string().default(''),
  METRICS_PORT: port.default(9464),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// address' }).optional(),
  NATS_URL: z.url({ protocol: /^(nats|tls)$/, error: 'must be a nats:// or tls:// address' }).optional(),
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// or rediss:// address' }).optional(),
  S3_ENDPOINT: httpUrl.optional(),
  S3_REGION: z.string().default('us-east-1'),
  S3_BUCKET: z.string().optional(),
  S3_ACCESS_KEY_ID: z.string().optional(),
  S3_SECRET_ACCESS_KEY: z.string().optional(),
  VIVARIUM_SECRET: z.string().min(32, 'must have at least 32 random characters').optional(),
  VIVARIUM_ADMIN_PASSWORD: z.string().min(10, 'must have at least 10 characters').max(256).optional(),
  VIVARIUM_BAD_TOKEN: z.enum(['loud', 'anonymous']).default('loud'),
  VIVARIUM_SIGN_UP: z.enum(['closed', 'invitation', 'open']).default('closed'),
  VIVARIUM_ORGANIZATIONS: z.enum(['everybody', 'superusers']).default('everybody'),
  VIVARIUM_MAX_UPLOAD_BYTES: z.coerce
    .number()
    .int()
    .positive()
    .default(10 * 2 ** 30),
  VIVARIUM_SWEEP_GRACE_SECONDS: z.coerce.number().int().min(0).default(3_600),
  SMTP_URL: z.string().optional(),
  MAIL_FROM: z.string().optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl.optional(),
});

/** The names of all variables that are read. */
export const SETTINGS: readonly string[] = Object.keys(schema.shape);

export interface S3Config {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Config {
  readonly target: Target;
  readonly port: number;
  readonly host: string;
  readonly dataDir: string;
  /** Origin under which clients reach us, without a trailing slash. */
  readonly publicUrl: string;
  /** Host names (with port where it is not the scheme's own) that select a family of URLs. */
  readonly hosts: { readonly web: string; readonly conda: string; readonly pypi: string; readonly api: string };
  /** Addresses or CIDR ranges whose X-Forwarded-* headers count. */
  readonly trustedProxies: readonly string[];
  readonly metricsPort: number;
  readonly databaseUrl: string | undefined;
  readonly natsUrl: string | undefined;
  readonly redisUrl: string | undefined;
  readonly s3: S3Config | undefined;
  /** Root of every derived key; in `all` without one it is made once and kept in the data folder. */
  readonly secret: string;
  readonly adminPassword: string | undefined;
  readonly badToken: 'loud' | 'anonymous';
  /** Who may make an account: nobody but superusers, who was invited, or anybody. */
  readonly signUp: 'closed' | 'invitation' | 'open';
  /** Who may make organizations. */
  readonly organizations: 'everybody' | 'superusers';
  readonly maxUploadBytes: number;
  /** How long bytes stay that nothing names any more. */
  readonly sweepGraceMs: number;
  readonly mail: MailConfig;
  readonly logLevel: string;
  readonly otlpEndpoint: string | undefined;
}

function configOf(target: Target, values: z.infer<typeof schema>): Config {
  const host = values.HOST ?? (target === 'all' ? '127.0.0.1' : '0.0.0.0');
  const publicUrl = (values.PUBLIC_URL ?? `http://${host === '0.0.0.0' ? 'localhost' : host}:${values.PORT}`).replace(
    /\/+$/,
    '',
  );
  const web = new URL(publicUrl).host;
  const dataDir = resolve(values.DATA_DIR);
  return {
    target,
    port: values.PORT,
    host,
    dataDir,
    publicUrl,
    hosts: {
      web,
      conda: values.CONDA_HOST ?? `conda.${web}`,
      pypi: values.PYPI_HOST ?? `pypi.${web}`,
      api: values.API_HOST ?? `api.${web}`,
    },
    trustedProxies: values.TRUSTED_PROXIES.split(/[\s,]+/).filter((range) => range !== ''),
    metricsPort: values.METRICS_PORT,
    databaseUrl: values.DATABASE_URL,
    natsUrl: values.NATS_URL,
    redisUrl: values.REDIS_URL,
    s3: s3Of(values),
    secret: values.VIVARIUM_SECRET ?? keptSecret(dataDir),
    adminPassword: values.VIVARIUM_ADMIN_PASSWORD,
    badToken: values.VIVARIUM_BAD_TOKEN,
    signUp: values.VIVARIUM_SIGN_UP,
    organizations: values.VIVARIUM_ORGANIZATIONS,
    maxUploadBytes: values.VIVARIUM_MAX_UPLOAD_BYTES,
    sweepGraceMs: values.VIVARIUM_SWEEP_GRACE_SECONDS * 1_000,
    mail: mailOf(values, target === 'identity' || target === 'all'),
    // One process prints a short welcome for a person; its log speaks up only when something is wrong.
    logLevel: values.LOG_LEVEL ?? (target === 'all' ? 'warn' : 'info'),
    otlpEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
  };
}

function s3Of(values: z.infer<typeof schema>): S3Config | undefined {
  const { S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = values;
  if (S3_ENDPOINT === undefined) return undefined;
  if (S3_BUCKET === undefined || S3_ACCESS_KEY_ID === undefined || S3_SECRET_ACCESS_KEY === undefined) {
    throw new Fault('invalid', 'S3_ENDPOINT is set; set S3_BUCKET, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY too.');
  }
  return {
    endpoint: S3_ENDPOINT,
    region: values.S3_REGION,
    bucket: S3_BUCKET,
    accessKeyId: S3_ACCESS_KEY_ID,
    secretAccessKey: S3_SECRET_ACCESS_KEY,
  };
}

function keptSecret(dataDir: string): string {
  const path = join(dataDir, 'secret');
  try {
    if (existsSync(path)) return readFileSync(path, 'utf8').trim();
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const secret = randomBytes(32).toString('hex');
    writeFileSync(path, `${secret}\n`, { mode: 0o600, flag: 'wx' });
    return secret;
  } catch (error) {
    throw new Fault(
      'unavailable',
      `The folder ${dataDir} cannot be written. Choose another with DATA_DIR, or change its owner.`,
      {
        cause: error,
      },
    );
  }
}
