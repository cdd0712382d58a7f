-- Who is signed in with a browser.
CREATE TABLE browser_session (
    digest BLOB PRIMARY KEY NOT NULL,
    account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    created_on INTEGER NOT NULL,
    seen_on INTEGER NOT NULL,
    expires_on INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
CREATE INDEX browser_session_account ON browser_session (account);
CREATE INDEX browser_session_expires_on ON browser_session (expires_on);

-- What somebody asked of a run, as JSON: such a job runs once and is gone.
ALTER TABLE job ADD COLUMN ask TEXT;

-- How far a run is with which resource.
CREATE TABLE progress (
    repository INTEGER PRIMARY KEY NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    run INTEGER NOT NULL,
    resource TEXT NOT NULL,
    direction TEXT NOT NULL,
    records INTEGER NOT NULL,
    total INTEGER,
    begun INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- How the last run with a repository went, and what was seen of it when it was last called.
CREATE TABLE condition (
    repository INTEGER PRIMARY KEY NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    run INTEGER NOT NULL,
    time INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    message TEXT NOT NULL,
    failures INTEGER NOT NULL,
    last_success INTEGER,
    skew INTEGER,
    version TEXT
) STRICT;

-- What travelled, hour by hour: the hour is the number of hours since 1970.
CREATE TABLE traffic (
    hour INTEGER PRIMARY KEY NOT NULL,
    received INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
