-- The password for a user's database, sealed; its URL stands without it.
ALTER TABLE database ADD COLUMN password BLOB;
