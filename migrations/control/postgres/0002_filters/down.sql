ALTER TABLE log DROP COLUMN retracted;
ALTER TABLE resource DROP COLUMN filters;
