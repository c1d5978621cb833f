-- Gone for everybody, with its account. The row stays: what indexers and caches have heard of the channel counts on.
ALTER TABLE channels ADD COLUMN closed_at timestamptz;
