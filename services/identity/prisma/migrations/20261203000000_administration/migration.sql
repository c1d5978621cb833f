-- Superusers are few among many: found without reading all accounts.
CREATE INDEX accounts_superuser_idx ON accounts (id) WHERE superuser;
