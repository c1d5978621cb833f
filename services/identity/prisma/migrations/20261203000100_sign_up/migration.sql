-- Who may sign up by invitation. Only the SHA-256 of the secret is here.
CREATE TABLE invitations (
  id text PRIMARY KEY,
  sha256 bytea NOT NULL CONSTRAINT invitations_sha256_key UNIQUE,
  maker_id text NOT NULL REFERENCES accounts (id),
  organization_id text REFERENCES accounts (id),
  email text CONSTRAINT invitations_email_check CHECK (email = lower(email)),
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  revoked_at timestamptz(3),
  used_at timestamptz(3),
  used_by text REFERENCES accounts (id),
  CONSTRAINT invitations_sha256_check CHECK (octet_length(sha256) = 32)
);
CREATE INDEX invitations_maker_id_idx ON invitations (maker_id) WHERE used_at IS NULL AND revoked_at IS NULL;
