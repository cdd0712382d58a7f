-- The journal beside the user's tables (SYNC.md 2), in a schema of its own. Each attached table N gets, beside what stands here:
--   state_N    one row a record, as on SQLite; only the engine writes it, one transaction at a time, so that arrivals are given in the order of commits;
--   note_N     one row a key that somebody wrote, by triggers inside the application's transactions; the engine never waits for it, nor it for the engine;
--   capture_N  the function of the triggers;
--   base_N     where agreed contents are kept.

CREATE TABLE entente.journal (
  id integer PRIMARY KEY CHECK (id = 1),
  format integer NOT NULL,           -- the last of these files that was run
  site text NOT NULL,                -- whose journal it is
  epoch text NOT NULL,               -- a new one whenever the journal went back in time
  incarnation bigint NOT NULL,
  runs bigint NOT NULL DEFAULT 0,    -- how many run numbers were told; also kept outside
  cluster bigint NOT NULL            -- the database cluster whose transaction numbers stand in notes
);

CREATE TABLE entente.site (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uuid text NOT NULL UNIQUE);

CREATE TABLE entente.tab (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  nsp text NOT NULL, rel text NOT NULL,       -- the user's table
  resource text NOT NULL UNIQUE,
  spec text NOT NULL,                         -- how it was attached, JSON
  ready boolean NOT NULL DEFAULT false,       -- all rows that were there before are journalled
  fields text NOT NULL DEFAULT '',            -- the fields and their types when the table was last looked at; empty = never
  UNIQUE (nsp, rel)
);

-- What changes with every page. `gathered`: what was committed by then is in state_N, the other notes are still to be taken over.
-- `sum`: the running sum over the living records, 256 bits, the least significant byte first.
CREATE TABLE entente.mark (
  tab bigint PRIMARY KEY,
  gathered pg_snapshot NOT NULL,
  sum bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
);

-- What was last agreed with a peer about a table: run numbers by role (0 = we call, 1 = they call), how far we are, under which filters.
CREATE TABLE entente.share (
  site bigint NOT NULL, tab bigint NOT NULL, role smallint NOT NULL,
  told bigint NOT NULL DEFAULT 0, heard bigint NOT NULL DEFAULT 0,
  epoch text, pull text NOT NULL DEFAULT '', push bigint NOT NULL DEFAULT 0,
  asked text NOT NULL DEFAULT '',             -- under which the one that calls asks for pages
  given text NOT NULL DEFAULT '',             -- what holds for what we give
  former text,                                -- what held before; NULL = nothing was given
  former_upto bigint NOT NULL DEFAULT 0,      -- up to this arrival
  -- A sum: 1 = both sites have to compare before they exchange anything; 2 = since this journal went back in time; 4 = since the peer's did;
  -- and 8 for each time that was found.
  compare bigint NOT NULL DEFAULT 0,
  refused boolean NOT NULL DEFAULT false,     -- something that came from the peer was refused for good: that it is not here does not say that it was
  lives text NOT NULL DEFAULT '',             -- in which lives of the peer's journal its run numbers were heard
  PRIMARY KEY (site, tab, role)
);

-- The last arrival of a table at a moment of this site's clock. Tombstones up to the first of them are gone.
CREATE TABLE entente.reached (tab bigint NOT NULL, at bigint NOT NULL, arrival bigint NOT NULL, PRIMARY KEY (tab, at));

CREATE TABLE entente.batch (id text PRIMARY KEY, site bigint NOT NULL, at bigint NOT NULL, answer text NOT NULL);
CREATE INDEX batch_at ON entente.batch (at);

CREATE TABLE entente.history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tab bigint NOT NULL, uid text COLLATE "C" NOT NULL, at bigint NOT NULL, site bigint NOT NULL,
  run bigint NOT NULL, side text NOT NULL, rule text NOT NULL, record text NOT NULL
);
CREATE INDEX history_uid ON entente.history (tab, uid);
CREATE INDEX history_run ON entente.history (run, tab);
CREATE INDEX history_at ON entente.history (at);

CREATE TABLE entente.conflict (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tab bigint NOT NULL, uid text COLLATE "C" NOT NULL, at bigint NOT NULL, site bigint NOT NULL,
  run bigint NOT NULL, rule text NOT NULL, open boolean NOT NULL, ours text NOT NULL, theirs text NOT NULL,
  choice text, decided bigint, after text     -- what a person chose and when; the record's version after the decision
);
CREATE INDEX conflict_open ON entente.conflict (tab, uid) WHERE open;

-- Records that came and could not be applied yet, and records that cannot be sent.
CREATE TABLE entente.waiting (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tab bigint NOT NULL, uid text COLLATE "C" NOT NULL, site bigint NOT NULL, run bigint NOT NULL,
  at bigint NOT NULL, kind text NOT NULL, reason text NOT NULL, record text NOT NULL
);
CREATE INDEX waiting_uid ON entente.waiting (tab, uid);
CREATE UNIQUE INDEX waiting_outgoing ON entente.waiting (tab, uid) WHERE kind = 'outgoing';
CREATE TABLE entente.missing (waiting bigint NOT NULL, tab bigint NOT NULL, uid text COLLATE "C" NOT NULL, PRIMARY KEY (waiting, tab, uid));
CREATE INDEX missing_uid ON entente.missing (tab, uid);

-- Whoever writes the journal holds the lock on this table: one transaction at a time. It holds nothing and is never written.
CREATE TABLE entente.turn ();
