-- What a peer that speaks of no versions is known to hold of a record: when last exchanged, of which time, of which content, as a text of the engine's.
CREATE TABLE entente.held (
  tab bigint NOT NULL, site bigint NOT NULL, uid text NOT NULL, note text NOT NULL, PRIMARY KEY (tab, site, uid)
);
