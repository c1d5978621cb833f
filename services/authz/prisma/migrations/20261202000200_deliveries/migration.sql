-- What people shall be told of, until identity has put it into their inbox. Its id is the key of the message there.
CREATE TABLE deliveries (
  id         text PRIMARY KEY,
  account_id text NOT NULL,
  kind       text NOT NULL,
  text       text NOT NULL,
  detail     jsonb NOT NULL,
  created_at timestamptz(3) NOT NULL
);
CREATE INDEX deliveries_created_at ON deliveries (created_at);
