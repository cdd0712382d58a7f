ALTER TABLE repository DROP COLUMN kind;
ALTER TABLE repository DROP COLUMN offered_name;
