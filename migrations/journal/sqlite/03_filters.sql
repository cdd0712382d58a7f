-- Under which filters a peer gets what it gets, and what it may hold from before (SYNC.md 3). Filters as text; empty = everything.
ALTER TABLE entente_share ADD COLUMN asked TEXT NOT NULL DEFAULT '';           -- under which the one that calls asks for pages
ALTER TABLE entente_share ADD COLUMN given TEXT NOT NULL DEFAULT '';           -- what holds for what we give
ALTER TABLE entente_share ADD COLUMN former TEXT;                              -- what held before; NULL = nothing was given
ALTER TABLE entente_share ADD COLUMN former_upto INTEGER NOT NULL DEFAULT 0;   -- up to this arrival

-- The fields and their types when the table was last looked at; empty = never.
ALTER TABLE entente_table ADD COLUMN fields TEXT NOT NULL DEFAULT '';
