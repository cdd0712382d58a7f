-- Times are microseconds since 1970 in UTC, UUIDs are texts `urn:uuid:…`, enums are their words, secrets are sealed or hashed.

CREATE TABLE site (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    uuid TEXT NOT NULL,
    name TEXT NOT NULL,
    created_on INTEGER NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    proxy TEXT
) STRICT;

CREATE TABLE database (
    name TEXT PRIMARY KEY NOT NULL,
    url TEXT NOT NULL
) STRICT;

-- Refers to no database on purpose: a mark outlives a database that is detached, so that one attached again under its old name
-- never counts from the start.
CREATE TABLE journal_mark (
    database TEXT PRIMARY KEY NOT NULL,
    epoch TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    runs INTEGER NOT NULL
) STRICT;

CREATE TABLE attached (
    resource TEXT PRIMARY KEY NOT NULL,
    database TEXT NOT NULL REFERENCES database (name) ON DELETE CASCADE,
    table_name TEXT NOT NULL,
    UNIQUE (database, table_name)
) STRICT;

-- AUTOINCREMENT: the log keeps numbers of repositories that are gone, so none is given twice.
CREATE TABLE repository (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    uuid TEXT UNIQUE,
    name TEXT NOT NULL UNIQUE,
    url TEXT,
    username TEXT,
    password BLOB,
    proxy TEXT,
    accept_pushes INTEGER NOT NULL,
    enabled INTEGER NOT NULL
) STRICT;

CREATE TABLE resource (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    strategy TEXT NOT NULL,
    update_policy TEXT NOT NULL,
    conflict_policy TEXT NOT NULL,
    merge_fields INTEGER NOT NULL,
    accept_twins INTEGER NOT NULL,
    UNIQUE (repository, name)
) STRICT;

CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    enabled INTEGER NOT NULL,
    every INTEGER,
    cron TEXT,
    on_change INTEGER NOT NULL,
    zone TEXT NOT NULL,
    start_on INTEGER,
    end_on INTEGER,
    times INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    next_run INTEGER,
    runs INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    lease_holder TEXT,
    lease_since INTEGER,
    lease_until INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    CHECK ((every IS NULL) <> (cron IS NULL))
) STRICT;
CREATE INDEX job_repository ON job (repository);
CREATE INDEX job_next_run ON job (next_run);

CREATE TABLE lease (
    repository INTEGER PRIMARY KEY NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    holder TEXT,
    since INTEGER,
    until INTEGER,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    run INTEGER,
    time INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    repository INTEGER,
    repository_name TEXT,
    resource TEXT,
    action TEXT NOT NULL,
    direction TEXT NOT NULL,
    outcome TEXT NOT NULL,
    remote INTEGER NOT NULL,
    message TEXT NOT NULL,
    records INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    conflicts INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    holder TEXT
) STRICT;
CREATE INDEX log_run ON log (run, id);
CREATE INDEX log_time ON log (time);
CREATE INDEX log_repository ON log (repository, action, id);
CREATE INDEX log_resource ON log (resource, id);
CREATE INDEX log_outcome ON log (outcome, id);
CREATE INDEX log_action ON log (action, id);

CREATE TABLE account (
    name TEXT PRIMARY KEY NOT NULL,
    role TEXT NOT NULL,
    may_pull INTEGER NOT NULL,
    may_push INTEGER NOT NULL,
    resources TEXT,
    bound TEXT,
    password TEXT NOT NULL
) STRICT;

CREATE TABLE token (
    digest BLOB PRIMARY KEY NOT NULL,
    account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    expires_on INTEGER NOT NULL
) STRICT;
CREATE INDEX token_account ON token (account);
CREATE INDEX token_repository ON token (repository);
CREATE INDEX token_expires_on ON token (expires_on);

CREATE TABLE setup_code (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    digest BLOB NOT NULL,
    created_on INTEGER NOT NULL
) STRICT;
