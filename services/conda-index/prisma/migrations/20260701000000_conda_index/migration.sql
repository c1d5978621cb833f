-- What the index of a channel shows. All heads of a channel move with this row, by a compare-and-swap on both numbers.
CREATE TABLE states (
  channel_id text PRIMARY KEY,
  generation bigint NOT NULL,
  -- Times the index was made anew from nothing, which may change heads without another generation.
  rebuilds   bigint NOT NULL DEFAULT 0
);

-- The manifest of a directory of a channel and label; no row where nothing is.
CREATE TABLE heads (
  channel_id    text NOT NULL,
  label         text NOT NULL,
  subdir        text NOT NULL,
  manifest_hash text NOT NULL,
  -- Of the last change.
  generation    bigint NOT NULL,
  PRIMARY KEY (channel_id, label, subdir)
);

-- All records of one package name in a directory: an object named by its hash.
CREATE TABLE shards (
  channel_id  text NOT NULL,
  label       text NOT NULL,
  subdir      text NOT NULL,
  name        text NOT NULL,
  package_id  text NOT NULL,
  audience_id text NOT NULL,
  audience    jsonb NOT NULL,
  shard_hash  text NOT NULL,
  -- Of the records as repodata has them.
  text_bytes  bigint NOT NULL,
  -- When the newest of its files was entered, ms since 1970.
  newest_ms   bigint NOT NULL,
  PRIMARY KEY (channel_id, label, subdir, name)
);
-- Where a name is, when it changes.
CREATE INDEX shards_channel_id_name_idx ON shards (channel_id, name);
-- Whose a shard is, when it is asked for by its hash.
CREATE INDEX shards_shard_hash_idx ON shards (shard_hash);

-- The chunks of repodata that hold the names of one audience whose hash begins with these bits.
CREATE TABLE chunks (
  channel_id  text NOT NULL,
  label       text NOT NULL,
  subdir      text NOT NULL,
  audience_id text NOT NULL,
  prefix      text NOT NULL,
  tar_bz2     text[] NOT NULL,
  conda       text[] NOT NULL,
  PRIMARY KEY (channel_id, label, subdir, audience_id, prefix)
);

-- Superseded shards: a client that holds an older index still asks for them.
CREATE TABLE retired_shards (
  channel_id text NOT NULL,
  label      text NOT NULL,
  subdir     text NOT NULL,
  hash       text NOT NULL,
  package_id text NOT NULL,
  name       text NOT NULL,
  retired_at timestamptz NOT NULL,
  PRIMARY KEY (channel_id, label, subdir, hash)
);
CREATE INDEX retired_shards_retired_at_idx ON retired_shards (retired_at);

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
