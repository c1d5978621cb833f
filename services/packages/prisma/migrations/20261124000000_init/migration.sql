-- A channel is the package namespace of one account and has the account's id. Its row is the lock under which its
-- generation counts.
CREATE TABLE channels (
  id                 text PRIMARY KEY,
  login              text NOT NULL UNIQUE,
  kind               text NOT NULL CHECK (kind IN ('user', 'organization')),
  -- Another one after a restore or a new beginning: part of every view key and ETag.
  incarnation        text NOT NULL,
  default_visibility text NOT NULL DEFAULT 'public' CHECK (default_visibility IN ('public', 'authenticated', 'private')),
  generation         bigint NOT NULL DEFAULT 0,
  -- The lowest generation that may still be served: raised by whatever narrows an audience.
  floor              bigint NOT NULL DEFAULT 0,
  created_at         timestamptz NOT NULL DEFAULT now(),
  changed_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- The indexers' sweep.
CREATE INDEX channels_changed ON channels (changed_at, id);

-- One name, one access setting, whatever kinds of file it holds.
CREATE TABLE packages (
  id          text PRIMARY KEY,
  channel_id  text NOT NULL REFERENCES channels (id),
  name        text NOT NULL,
  -- The PEP 503 name, held by the first package of the channel that received a Python file under it.
  pypi_name   text,
  visibility  text NOT NULL CHECK (visibility IN ('public', 'authenticated', 'private')),
  -- Who may read, as `audienceOf` makes it of visibility and grants: changed with them in one transaction.
  audience_id text NOT NULL,
  audience    jsonb NOT NULL,
  summary     text NOT NULL DEFAULT '',
  attributes  jsonb NOT NULL DEFAULT '{}',
  created_at  timestamptz NOT NULL DEFAULT now(),
  modified_at timestamptz NOT NULL DEFAULT now(),
  -- The generation of the channel that changed it last: the version of what is remembered of it.
  touched     bigint NOT NULL DEFAULT 0,
  -- Gone for everybody, and its name is free; says for seven days more who could read what caches still name.
  removed_at  timestamptz
);
CREATE UNIQUE INDEX packages_name ON packages (channel_id, name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX packages_pypi_name ON packages (channel_id, pypi_name) WHERE removed_at IS NULL;
-- The row that a first Python file joins, whatever its spelling.
CREATE INDEX packages_project ON packages (channel_id, regexp_replace(name, '[-_.]+', '-', 'g')) WHERE removed_at IS NULL;
-- The audiences present in a channel, found by skipping from one to the next.
CREATE INDEX packages_audience ON packages (channel_id, audience_id) WHERE removed_at IS NULL;

-- A group of the owner, or a collaborator.
CREATE TABLE grants (
  package_id   text NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
  kind         text NOT NULL CHECK (kind IN ('group', 'user')),
  principal_id text NOT NULL,
  permission   text NOT NULL CHECK (permission IN ('read', 'write', 'admin')),
  PRIMARY KEY (package_id, kind, principal_id)
);
CREATE INDEX grants_principal ON grants (kind, principal_id);

CREATE TABLE releases (
  id          text PRIMARY KEY,
  package_id  text NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
  version     text NOT NULL,
  -- One text for all spellings of a version that Python takes for equal.
  version_key text NOT NULL,
  attributes  jsonb NOT NULL DEFAULT '{}',
  created_at  timestamptz NOT NULL DEFAULT now(),
  removed_at  timestamptz
);
CREATE INDEX releases_version_key ON releases (package_id, version_key) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX releases_version ON releases (package_id, version) WHERE removed_at IS NULL;

-- Bytes, stored once. `object_key` is where they are. Every put chooses a key that was never used before, so that a late
-- delete of an earlier object cannot hit the new bytes.
CREATE SEQUENCE blob_objects MAXVALUE 999999999 CYCLE;
CREATE TABLE blobs (
  sha256     text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  object_key text NOT NULL UNIQUE,
  size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
  state      text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'dying')),
  created_at timestamptz NOT NULL DEFAULT now()
);

-- "This stage is about to need these bytes": committed before anybody looks whether they are there.
CREATE TABLE pins (
  sha256   text NOT NULL,
  stage_id text NOT NULL,
  until    timestamptz NOT NULL,
  PRIMARY KEY (sha256, stage_id)
);
CREATE INDEX pins_until ON pins (until);

-- One artifact of a release.
CREATE TABLE files (
  -- Ascending in the order of upload.
  id            text PRIMARY KEY,
  channel_id    text NOT NULL REFERENCES channels (id),
  package_id    text NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
  release_id    text NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
  kind          text NOT NULL CHECK (kind IN ('conda', 'pypi', 'ipynb', 'env', 'project', 'r', 'installer', 'file')),
  -- conda: <subdir>/<file name>; others: <file name>
  basename      text NOT NULL,
  sha256        text NOT NULL REFERENCES blobs (sha256),
  md5           text NOT NULL,
  size_bytes    bigint NOT NULL,
  -- pypi: the METADATA beside a wheel, a blob of its own.
  metadata_sha256 text REFERENCES blobs (sha256),
  attributes    jsonb NOT NULL DEFAULT '{}',
  dependencies  jsonb NOT NULL DEFAULT '{}',
  description   text NOT NULL DEFAULT '',
  -- conda: the record of repodata; pypi: the file of a simple page. Made once, when the file was entered. `json`, not
  -- `jsonb`: its text goes into indexes as it is.
  record        json,
  uploaded_by   text NOT NULL,
  uploaded_at   timestamptz NOT NULL DEFAULT now(),
  downloads     bigint NOT NULL DEFAULT 0,
  -- Left every index; still answers at its URL for seven days, unless its name is retaken.
  removed_at    timestamptz
);
-- While a file exists its name is taken: in the channel for kinds with an index, in the release for the others.
CREATE UNIQUE INDEX files_name ON files (channel_id, basename) WHERE removed_at IS NULL AND kind IN ('conda', 'pypi');
CREATE UNIQUE INDEX files_name_in_release ON files (release_id, basename) WHERE removed_at IS NULL AND kind NOT IN ('conda', 'pypi');
-- The file at a URL: the one that exists, else the one that was removed last.
CREATE INDEX files_basename ON files (channel_id, basename, removed_at DESC NULLS FIRST);
CREATE INDEX files_package ON files (package_id, id);
CREATE INDEX files_release ON files (release_id);
CREATE INDEX files_sha256 ON files (sha256);
CREATE INDEX files_metadata ON files (metadata_sha256) WHERE metadata_sha256 IS NOT NULL;

CREATE TABLE labels (
  channel_id text NOT NULL REFERENCES channels (id),
  name       text NOT NULL,
  locked     boolean NOT NULL DEFAULT false,
  PRIMARY KEY (channel_id, name)
);

CREATE TABLE file_labels (
  file_id    text NOT NULL REFERENCES files (id) ON DELETE CASCADE,
  channel_id text NOT NULL,
  label      text NOT NULL,
  PRIMARY KEY (file_id, label),
  FOREIGN KEY (channel_id, label) REFERENCES labels (channel_id, name)
);
CREATE INDEX file_labels_label ON file_labels (channel_id, label);

-- What an index keys its files by, and the generation that touched it last: what indexers fold again.
CREATE TABLE changes (
  channel_id text NOT NULL REFERENCES channels (id),
  kind       text NOT NULL CHECK (kind IN ('conda', 'pypi')),
  -- conda: the package's name; pypi: the normalised project name
  name       text NOT NULL,
  generation bigint NOT NULL,
  PRIMARY KEY (channel_id, kind, name)
);
CREATE INDEX changes_generation ON changes (channel_id, kind, generation);

-- One upload under way.
CREATE TABLE stages (
  -- 128 random bits, hexadecimal.
  id           text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
  account_id   text NOT NULL,
  -- Id of the token or session that opened it.
  credential_id text NOT NULL,
  channel_id   text NOT NULL REFERENCES channels (id),
  -- As the URL said them; empty for bytes that came with a form, whose package the archive alone names.
  package      text NOT NULL,
  version      text NOT NULL,
  basename     text NOT NULL,
  kind         text NOT NULL,
  -- What came with the bytes, if they came with a form: name, version, filetype.
  form         jsonb,
  labels       text[] NOT NULL,
  -- What the client said it would send; empty if it said nothing.
  sha256       text NOT NULL,
  description  text NOT NULL DEFAULT '',
  attributes   jsonb NOT NULL DEFAULT '{}',
  dependencies jsonb NOT NULL DEFAULT '{}',
  state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'received', 'committed', 'failed')),
  staging_key  text,
  received_sha256 text,
  received_md5    text,
  size_bytes   bigint,
  -- The answer of the first commit, for those that repeat it.
  file_id      text,
  generation   bigint,
  created      boolean,
  failure_code text,
  failure      text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL
);
CREATE INDEX stages_expiry ON stages (expires_at);

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
