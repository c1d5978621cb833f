-- Since when nothing needs a blob.
ALTER TABLE blobs ADD COLUMN dying_at timestamptz;
UPDATE blobs SET dying_at = now() WHERE state = 'dying';
CREATE INDEX blobs_dying ON blobs (dying_at) WHERE state = 'dying';

-- What has been removed long enough to be forgotten.
CREATE INDEX files_removed ON files (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX releases_removed ON releases (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX packages_removed ON packages (removed_at) WHERE removed_at IS NOT NULL;
