-- Programs that people let in by the session of their browser. Only hashes of secrets are here. challenge: PKCE, S256.
CREATE TABLE browser_logins (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  session_id text NOT NULL REFERENCES sessions (id),
  client_id text NOT NULL,
  redirect_uri text NOT NULL,
  challenge text NOT NULL,
  code_sha256 bytea NOT NULL CONSTRAINT browser_logins_code_sha256_key UNIQUE,
  created_at timestamptz(3) NOT NULL,
  code_expires_at timestamptz(3) NOT NULL,
  redeemed_at timestamptz(3),
  access_sha256 bytea CONSTRAINT browser_logins_access_sha256_key UNIQUE,
  access_expires_at timestamptz(3),
  -- The token that was made by it, once.
  token_id text REFERENCES tokens (id),
  revoked_at timestamptz(3)
);
-- Old ones are removed in this order.
CREATE INDEX browser_logins_created_at_idx ON browser_logins (created_at);
