/** A part of JSON Schema 2020-12, as OpenAPI 3.1 takes it. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly (string | null)[];
  readonly const?: string | number | boolean;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly minimum?: number;
  readonly maxItems?: number;
  readonly oneOf?: readonly Schema[];
}

export const text: Schema = { type: 'string' };
export const nullableText: Schema = { type: ['string', 'null'] };
export const flag: Schema = { type: 'boolean' };
export const count: Schema = { type: 'integer', minimum: 0 };
export const anything: Schema = { type: 'object' };
const time: Schema = { type: 'string', description: 'UTC, as `2026-11-24 10:00:00.000000+00:00`.' };
const nullableTime: Schema = { type: ['string', 'null'] };
const visibility: Schema = { enum: ['public', 'authenticated', 'private'] };
const permission: Schema = { enum: ['read', 'write', 'admin'] };
const index: Schema = { enum: ['ready', 'pending'], description: 'Whether every index shows the change already.' };

/** An object with exactly these properties; a name that ends in `?` may be absent. */
export function object(properties: Readonly<Record<string, Schema>>): Schema {
  const entries = Object.entries(properties).map(([name, schema]) => [name.replace(/\?$/, ''), schema] as const);
  return {
    type: 'object',
    properties: Object.fromEntries(entries),
    required: Object.keys(properties).filter((name) => !name.endsWith('?')),
    additionalProperties: false,
  };
}

export function list(items: Schema): Schema {
  return { type: 'array', items };
}

/** A page of our own lists: `next` goes into `after` of the next request. */
export function page(items: Schema): Schema {
  return object({ items: list(items), next: nullableText });
}

export function named(name: keyof typeof SCHEMAS): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

export const choices = { visibility, permission, index };

const ACCOUNT = {
  id: text,
  login: text,
  name: text,
  user_type: { enum: ['user', 'org'] },
  created_at: time,
  company: text,
  location: text,
  description: text,
  url: text,
  'email?': text,
  'superuser?': flag,
  'disabled?': flag,
  'default_visibility?': visibility,
};

const FILE = {
  id: text,
  basename: { type: 'string', description: 'conda: `<subdir>/<file>`; others: the file name.' },
  version: text,
  type: text,
  distribution_type: text,
  full_name: text,
  owner: text,
  description: text,
  attrs: anything,
  dependencies: { type: ['object', 'null'] },
  labels: list(text),
  md5: text,
  sha256: text,
  size: count,
  upload_time: time,
  ndownloads: count,
  download_url: text,
};

const PACKAGE = {
  id: text,
  name: text,
  full_name: text,
  owner: object({ login: text }),
  package_types: list(text),
  public: flag,
  visibility,
  summary: text,
  description: text,
  home: nullableText,
  license: nullableText,
  license_url: nullableText,
  dev_url: nullableText,
  doc_url: nullableText,
  source_git_url: nullableText,
  source_git_tag: nullableText,
  public_attrs: anything,
  url: text,
  html_url: text,
  versions: list(text),
  latest_version: text,
  platforms: { type: 'object', additionalProperties: text },
  conda_platforms: list(text),
  builds: list(text),
  releases: list(object({ version: text, full_name: text })),
  created_at: time,
  modified_at: time,
  'index?': index,
  'files?': list({ $ref: '#/components/schemas/File' }),
} satisfies Readonly<Record<string, Schema>>;

const RESTRICT = {
  'channels?': list(text),
  'packages?': list({ type: 'string', description: 'A glob on the name as its kind normalises it.' }),
  'labels?': list(text),
  'subdirs?': list(text),
  'cidrs?': list(text),
  'uses?': count,
};

const TOKEN = {
  id: text,
  application: { type: 'string', description: 'Its name.' },
  owner: text,
  scopes: list(text),
  created_at: time,
  expires: nullableTime,
  last_used: nullableTime,
  last_used_addr: text,
  hostname: text,
  remote_addr: text,
  application_website: text,
  remaining_uses: { type: ['integer', 'null'] },
  made_by: text,
  restrict: { $ref: '#/components/schemas/Restrict' },
} satisfies Readonly<Record<string, Schema>>;

const MANAGED = { id: text, login: text, name: text, email: text, superuser: flag, disabled: flag, created_at: time };

/** What answers are made of. */
export const SCHEMAS = {
  Error: object({ error: { type: 'string', description: 'A sentence to act on.' }, code: text }),
  Account: object(ACCOUNT),
  ManagedAccount: object(MANAGED),
  AccountDetails: object({
    ...MANAGED,
    tokens: count,
    sessions: count,
    last_seen: nullableTime,
    password_changed_at: nullableTime,
  }),
  Token: object(TOKEN),
  NewToken: object({ ...TOKEN, token: { type: 'string', description: 'The secret, shown this once.' } }),
  Restrict: object(RESTRICT),
  Package: object(PACKAGE),
  Release: object({
    id: text,
    version: text,
    full_name: text,
    created_at: time,
    public_attrs: anything,
    distributions: list({ $ref: '#/components/schemas/File' }),
  }),
  File: object(FILE),
  CommittedFile: object({ ...FILE, url: text, generation: count, index }),
  Group: object({
    name: text,
    organization: text,
    permission,
    all_packages: flag,
    members_count: count,
    created_at: time,
  }),
  Member: object({ login: text, name: text, added_at: time }),
  Collaborator: object({ login: text, name: text, permission: { enum: ['read', 'write'] } }),
  Message: object({ id: text, kind: text, text, detail: anything, created_at: time, read_at: nullableTime }),
  Invitation: object({
    id: text,
    made_by: text,
    organization: nullableText,
    email: nullableText,
    created_at: time,
    expires: time,
    'invitation?': { type: 'string', description: 'The secret, shown this once.' },
  }),
  AuditEvent: object({
    id: text,
    at: time,
    actor: { type: 'string', description: 'A login, or `service:<name>`.' },
    actor_id: nullableText,
    credential: text,
    address: text,
    action: text,
    resource: text,
    owner: nullableText,
    owner_id: nullableText,
    before: { type: ['object', 'null'] },
    after: { type: ['object', 'null'] },
  }),
  Nothing: { type: 'object', additionalProperties: false },
} satisfies Readonly<Record<string, Schema>>;
