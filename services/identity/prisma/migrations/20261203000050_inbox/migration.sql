-- What accounts are told. `key` names a message for ever, so that it is delivered once.
CREATE TABLE inbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  key        text NOT NULL CONSTRAINT inbox_key_key UNIQUE,
  kind       text NOT NULL,
  text       text NOT NULL,
  detail     jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz(3) NOT NULL,
  read_at    timestamptz(3)
);
CREATE INDEX inbox_account ON inbox (account_id, id DESC);
