-- Accounts: users and the names of organizations, one name space of logins.
-- A deleted account keeps its row, so that its login is never given to somebody else.
CREATE TABLE accounts (
  id text PRIMARY KEY,
  login text NOT NULL CONSTRAINT accounts_login_check CHECK (login ~ '^[a-z0-9][a-z0-9_-]{1,62}$'),
  kind text NOT NULL CONSTRAINT accounts_kind_check CHECK (kind IN ('user', 'organization')),
  name text NOT NULL DEFAULT '',
  email text CONSTRAINT accounts_email_check CHECK (email = lower(email)),
  superuser boolean NOT NULL DEFAULT false,
  disabled boolean NOT NULL DEFAULT false,
  created_at timestamptz(3) NOT NULL,
  deleted_at timestamptz(3),
  version bigint NOT NULL DEFAULT 1,
  CONSTRAINT accounts_login_key UNIQUE (login),
  CONSTRAINT accounts_email_key UNIQUE (email),
  CONSTRAINT accounts_superuser_check CHECK (NOT superuser OR kind = 'user')
);

CREATE TABLE passwords (
  account_id text PRIMARY KEY REFERENCES accounts (id),
  hash text NOT NULL CONSTRAINT passwords_hash_check CHECK (hash LIKE '$argon2id$%'),
  changed_at timestamptz(3) NOT NULL
);

-- Only the SHA-256 of a secret is here.
CREATE TABLE sessions (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  sha256 bytea NOT NULL CONSTRAINT sessions_sha256_key UNIQUE,
  created_at timestamptz(3) NOT NULL,
  last_used_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  revoked_at timestamptz(3),
  address text NOT NULL DEFAULT '',
  user_agent text NOT NULL DEFAULT '',
  version bigint NOT NULL DEFAULT 1,
  CONSTRAINT sessions_sha256_check CHECK (octet_length(sha256) = 32)
);
CREATE INDEX sessions_account_id_idx ON sessions (account_id) WHERE revoked_at IS NULL;

-- owner: whose rights the token has. maker: who made it. parent: the token that made it, and with which it dies.
CREATE TABLE tokens (
  id text PRIMARY KEY,
  name text NOT NULL,
  owner_id text NOT NULL REFERENCES accounts (id),
  maker_id text NOT NULL REFERENCES accounts (id),
  parent_id text REFERENCES tokens (id),
  sha256 bytea NOT NULL CONSTRAINT tokens_sha256_key UNIQUE,
  scopes text[] NOT NULL,
  restrictions jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  revoked_at timestamptz(3),
  last_used_at timestamptz(3),
  last_used_address text NOT NULL DEFAULT '',
  address text NOT NULL DEFAULT '',
  hostname text NOT NULL DEFAULT '',
  url text NOT NULL DEFAULT '',
  -- NULL: no limit.
  remaining_uses bigint CONSTRAINT tokens_remaining_uses_check CHECK (remaining_uses >= 0),
  version bigint NOT NULL DEFAULT 1,
  CONSTRAINT tokens_sha256_check CHECK (octet_length(sha256) = 32)
);
-- A revoked token gives its name back.
CREATE UNIQUE INDEX tokens_living_name_key ON tokens (owner_id, name) WHERE revoked_at IS NULL;
CREATE INDEX tokens_parent_id_idx ON tokens (parent_id) WHERE parent_id IS NOT NULL;

-- Ed25519. x: the public key, base64url. sealed_key: the private one under a key that is not in this database.
CREATE TABLE signing_keys (
  kid text PRIMARY KEY,
  x text NOT NULL,
  sealed_key bytea NOT NULL,
  published_at timestamptz(3) NOT NULL,
  signs_from timestamptz(3) NOT NULL
);

-- The outbox of one service. Its text goes into the first migration of the service's schema, as it is.

-- What has been committed and not yet announced. `epoch` and `seq` are the number under which a row is announced.
CREATE TABLE outbox (
  id         bigserial PRIMARY KEY,
  topic      text NOT NULL,
  payload    bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  epoch      text,
  seq        bigint
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX outbox_by_seq ON outbox (seq);

-- One row: the last number given, and under which epoch. `origin` tells this database from its own restored copy.
CREATE TABLE outbox_seq (
  one    boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch  text NOT NULL,
  seq    bigint NOT NULL,
  origin text NOT NULL
) WITH (fillfactor = 10);
INSERT INTO outbox_seq (epoch, seq, origin) VALUES ('', 0, '');

-- Who may answer from memory, until when by this database's clock, and what it said that it knows.
CREATE TABLE leases (
  holder      text PRIMARY KEY,
  until       timestamptz NOT NULL,
  acked_epoch text NOT NULL,
  acked       bigint NOT NULL
);
