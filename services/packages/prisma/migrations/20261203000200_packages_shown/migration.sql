-- What a reader sees of a channel, by name: as many entries are read of each audience as fit on a page, whatever else the
-- channel holds. Takes the place of packages_audience, whose columns it begins with.
CREATE INDEX packages_shown ON packages (channel_id, audience_id, name) WHERE removed_at IS NULL;
DROP INDEX packages_audience;
