-- Who is signed in with a browser.
CREATE TABLE browser_session (
    digest BYTEA PRIMARY KEY NOT NULL,
    account TEXT COLLATE "C" NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    created_on BIGINT NOT NULL,
    seen_on BIGINT NOT NULL,
    expires_on BIGINT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
);
CREATE INDEX browser_session_account ON browser_session (account);
CREATE INDEX browser_session_expires_on ON browser_session (expires_on);

-- What somebody asked of a run, as JSON: such a job runs once and is gone.
ALTER TABLE job ADD COLUMN ask TEXT;

-- How far a run is with which resource.
CREATE TABLE progress (
    repository BIGINT PRIMARY KEY NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    run BIGINT NOT NULL,
    resource TEXT COLLATE "C" NOT NULL,
    direction TEXT NOT NULL,
    records BIGINT NOT NULL,
    total BIGINT,
    begun BIGINT NOT NULL,
    at BIGINT NOT NULL
);

-- How the last run with a repository went, and what was seen of it when it was last called.
CREATE TABLE condition (
    repository BIGINT PRIMARY KEY NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    run BIGINT NOT NULL,
    time BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    message TEXT NOT NULL,
    failures BIGINT NOT NULL,
    last_success BIGINT,
    skew BIGINT,
    version TEXT
);

-- What travelled, hour by hour: the hour is the number of hours since 1970.
CREATE TABLE traffic (
    hour BIGINT PRIMARY KEY NOT NULL,
    received BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    bytes BIGINT NOT NULL
);
