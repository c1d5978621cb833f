-- What the index of a channel shows. All heads of a channel move with this row, by a compare-and-swap on both numbers.
CREATE TABLE states (
  channel_id text PRIMARY KEY,
  generation bigint NOT NULL,
  -- Times the index was made anew from nothing, which may change heads without another generation.
  rebuilds   bigint NOT NULL DEFAULT 0
);

-- The manifest of a label of a channel; no row where nothing is.
CREATE TABLE heads (
  channel_id    text NOT NULL,
  label         text NOT NULL,
  manifest_hash text NOT NULL,
  -- Of the last change.
  generation    bigint NOT NULL,
  PRIMARY KEY (channel_id, label)
);

-- The pages of a project that has files in a label: objects named by their hashes.
CREATE TABLE projects (
  channel_id     text NOT NULL,
  label          text NOT NULL,
  -- Normalised.
  name           text NOT NULL,
  package_id     text NOT NULL,
  audience_id    text NOT NULL,
  audience       jsonb NOT NULL,
  json_hash      text NOT NULL,
  json_gzip_hash text NOT NULL,
  html_hash      text NOT NULL,
  html_gzip_hash text NOT NULL,
  PRIMARY KEY (channel_id, label, name)
);
-- Where a project is, when it changes.
CREATE INDEX projects_channel_id_name_idx ON projects (channel_id, name);

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
