-- What a channel tells everybody who reads it.
CREATE TABLE notices (
  id text PRIMARY KEY,
  channel_id text NOT NULL REFERENCES channels (id),
  status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'archived', 'deleted')),
  level text NOT NULL CHECK (level IN ('info', 'warning', 'critical')),
  message text NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE INDEX notices_channel ON notices (channel_id, created_at DESC, id);
