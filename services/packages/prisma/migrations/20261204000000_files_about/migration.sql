-- conda: what the package says of itself to people, cut to what channeldata.json shows. Null for what was entered before.
ALTER TABLE files ADD COLUMN about jsonb;
