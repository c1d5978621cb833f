-- Those that end soon are looked for every few minutes.
CREATE INDEX tokens_expires_at_idx ON tokens (expires_at) WHERE revoked_at IS NULL;
