-- Who failed to log in, as a hash of the address and the name, how often, and when last.
CREATE TABLE guess (
    digest BLOB PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL,
    last INTEGER NOT NULL
) STRICT;
CREATE INDEX guess_last ON guess (last);

-- The entry in the log of the last run that a repository makes with a resource.
CREATE TABLE visit (
    entry INTEGER PRIMARY KEY NOT NULL,
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    resource TEXT NOT NULL,
    run INTEGER NOT NULL,
    UNIQUE (repository, resource)
) STRICT;
