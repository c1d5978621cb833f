-- id: that of the organization's account. version: of everybody's standing in its channel, raised under this row's lock
-- by every change of its groups and members.
CREATE TABLE organizations (
  id text PRIMARY KEY,
  created_at timestamptz(3) NOT NULL,
  version bigint NOT NULL DEFAULT 1
);

CREATE TABLE groups (
  id text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations (id),
  name text NOT NULL,
  permission text NOT NULL CONSTRAINT groups_permission_check CHECK (permission IN ('read', 'write', 'admin')),
  -- Covers every package of the channel, also those to come.
  all_packages boolean NOT NULL DEFAULT false,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT groups_organization_id_name_key UNIQUE (organization_id, name)
);

CREATE TABLE members (
  group_id text NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  account_id text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT members_pkey PRIMARY KEY (account_id, group_id)
);
CREATE INDEX members_group_id_idx ON members (group_id);

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
