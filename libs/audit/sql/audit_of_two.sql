-- The other account that a change is about: whose owners may read of it too.
ALTER TABLE audit ADD COLUMN other_owner_id text NOT NULL DEFAULT '';
CREATE INDEX audit_other_owner ON audit (other_owner_id, id DESC) WHERE other_owner_id <> '';
