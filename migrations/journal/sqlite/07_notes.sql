-- What a peer that speaks of no versions is known to hold of a record: when last exchanged, of which time, of which content, as a text of the engine's.
CREATE TABLE entente_note (
  tab INTEGER NOT NULL, site INTEGER NOT NULL, uid NOT NULL, note TEXT NOT NULL, PRIMARY KEY (tab, site, uid)
) WITHOUT ROWID;
