-- Who changed what, from where: written in the transaction that changed it, and never changed afterwards. Its text goes
-- into a migration of each service that has it, as it is.
CREATE TABLE audit (
  -- Ascending in the order of writing, near enough; unique over all services.
  id              text PRIMARY KEY,
  at              timestamptz(3) NOT NULL,
  -- A login, or `service:<name>` for what the platform did by itself.
  actor           text NOT NULL,
  -- Id of the account; empty for a service and for somebody unknown.
  actor_id        text NOT NULL DEFAULT '',
  -- `token <name>`, `session`, `password`; never a secret.
  credential      text NOT NULL DEFAULT '',
  address         text NOT NULL DEFAULT '',
  -- noun.verb
  action          text NOT NULL,
  -- The account whose owners may read it; empty: superusers only.
  owner_id        text NOT NULL DEFAULT '',
  resource        text NOT NULL,
  before          jsonb,
  after           jsonb
);
CREATE INDEX audit_owner ON audit (owner_id, id DESC);
