-- The running sum over the living records of each table (SYNC.md 2): 256 bits, the least significant byte first.

ALTER TABLE entente_table ADD COLUMN sum BLOB NOT NULL DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000';
