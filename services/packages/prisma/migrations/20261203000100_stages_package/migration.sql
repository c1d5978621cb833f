-- The package that an upload began for, if there was one: should it be gone or in another channel by the time the file is
-- entered, nothing is entered. Uploads that were under way before have none.
ALTER TABLE stages ADD COLUMN package_id text;
