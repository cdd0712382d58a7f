DROP TABLE key_check;
ALTER TABLE site DROP COLUMN moved_to;
