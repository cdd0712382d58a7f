ALTER TABLE database DROP COLUMN password;
