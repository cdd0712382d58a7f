DROP TABLE housekeeping;
DROP TABLE verified;
