-- Who failed to log in, as a hash of the address and the name, how often, and when last.
CREATE TABLE guess (
    digest BYTEA PRIMARY KEY NOT NULL,
    count BIGINT NOT NULL,
    last BIGINT NOT NULL
);
CREATE INDEX guess_last ON guess (last);

-- The entry in the log of the last run that a repository makes with a resource.
CREATE TABLE visit (
    entry BIGINT PRIMARY KEY NOT NULL,
    repository BIGINT NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    resource TEXT COLLATE "C" NOT NULL,
    run BIGINT NOT NULL,
    UNIQUE (repository, resource)
);
