-- What an account says of itself to everybody who may know of it: company, location, description, url.
ALTER TABLE accounts ADD COLUMN profile jsonb NOT NULL DEFAULT '{}';
