DROP TABLE traffic;
DROP TABLE condition;
DROP TABLE progress;
ALTER TABLE job DROP COLUMN ask;
DROP TABLE browser_session;
