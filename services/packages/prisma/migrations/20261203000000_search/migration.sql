-- A search goes through the packages of all channels by name.
CREATE INDEX packages_sought ON packages (name, channel_id) WHERE removed_at IS NULL;
