-- Who this site was before it took a new identity.
ALTER TABLE site ADD COLUMN formerly TEXT;

-- Sites in whose name two machines come, since when that is known.
CREATE TABLE clone (
    uuid TEXT PRIMARY KEY NOT NULL,
    since INTEGER NOT NULL
) STRICT;

-- Sites that said who they were before.
CREATE TABLE moved (
    uuid TEXT PRIMARY KEY NOT NULL,
    former TEXT NOT NULL
) STRICT;
