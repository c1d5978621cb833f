-- A search reads what is open to everybody, or to everybody who is signed in, without going through what is not. The
-- private packages that somebody may read are found by channel and by grant. Takes the place of packages_sought.
CREATE INDEX packages_open ON packages (visibility, name) WHERE removed_at IS NULL AND visibility <> 'private';
DROP INDEX packages_sought;
