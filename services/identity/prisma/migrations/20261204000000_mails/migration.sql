-- Messages of the inbox on their way to the address that the account has when they are sent. A row is written with its
-- message, and goes when the mail is sent or given up.
CREATE TABLE mails (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  text       text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  -- Not before: it waits for another try, or a replica is at it.
  due_at     timestamptz(3) NOT NULL,
  tries      integer NOT NULL DEFAULT 0
);
CREATE INDEX mails_due_at ON mails (due_at, id);
