DROP TABLE verified;
