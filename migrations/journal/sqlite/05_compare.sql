-- Which two sites have to compare before they exchange anything, and what tells how old a tombstone is (SYNC.md 9).

-- A sum: 1 = they have to compare; 2 = since this journal went back in time; 4 = since the peer's did; and 8 for each time that was found.
ALTER TABLE entente_share ADD COLUMN compare INTEGER NOT NULL DEFAULT 0;

-- Something that came from the peer was refused for good: that it is not here does not say that it was.
ALTER TABLE entente_share ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;

-- The last arrival of a table at a moment of this site's clock. Tombstones up to the first of them are gone.
CREATE TABLE entente_mark (tab INTEGER NOT NULL, at INTEGER NOT NULL, arrival INTEGER NOT NULL, PRIMARY KEY (tab, at)) WITHOUT ROWID;
