-- The journal beside the user's tables (SYNC.md 2). Each attached table gets a state table of its own, see src/connector/sqlite/install.rs.

CREATE TABLE entente_journal (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  format INTEGER NOT NULL,          -- the last of these files that was run
  site TEXT NOT NULL,               -- whose journal it is
  epoch TEXT NOT NULL,              -- a new one whenever the journal went back in time
  incarnation INTEGER NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0   -- how many run numbers were told; also kept outside
);

CREATE TABLE entente_site (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE);

CREATE TABLE entente_table (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,        -- the user's table
  resource TEXT NOT NULL UNIQUE,
  spec TEXT NOT NULL,               -- how it was attached, JSON
  ready INTEGER NOT NULL DEFAULT 0, -- all rows that were there before are journalled
  folded INTEGER NOT NULL DEFAULT 0 -- up to this arrival local edits are folded into versions
);

-- While the engine writes a record, its row stands here, in that transaction only: triggers do not capture that write.
CREATE TABLE entente_applying (tab INTEGER NOT NULL, everything INTEGER NOT NULL, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14, k15, k16);

-- Rows whose unique values an insert or update was about to take. OR REPLACE removes such a row without firing its delete trigger;
-- folding looks whether it is still there.
CREATE TABLE entente_suspect (tab INTEGER NOT NULL, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14, k15, k16);
CREATE INDEX entente_suspect_key ON entente_suspect (tab, k1);

-- What was last agreed with a peer about a table: run numbers by role (0 = we call, 1 = they call), and how far we are.
CREATE TABLE entente_share (
  site INTEGER NOT NULL, tab INTEGER NOT NULL, role INTEGER NOT NULL,
  told INTEGER NOT NULL DEFAULT 0, heard INTEGER NOT NULL DEFAULT 0,
  epoch TEXT, pull TEXT NOT NULL DEFAULT '', push INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (site, tab, role)
) WITHOUT ROWID;

CREATE TABLE entente_batch (id TEXT PRIMARY KEY, site INTEGER NOT NULL, at INTEGER NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX entente_batch_at ON entente_batch (at);

CREATE TABLE entente_history (
  id INTEGER PRIMARY KEY, tab INTEGER NOT NULL, uid NOT NULL, at INTEGER NOT NULL, site INTEGER NOT NULL, run INTEGER NOT NULL,
  side TEXT NOT NULL, rule TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX entente_history_uid ON entente_history (tab, uid);

CREATE TABLE entente_conflict (
  id INTEGER PRIMARY KEY, tab INTEGER NOT NULL, uid NOT NULL, at INTEGER NOT NULL, site INTEGER NOT NULL, run INTEGER NOT NULL,
  rule TEXT NOT NULL, open INTEGER NOT NULL, ours TEXT NOT NULL, theirs TEXT NOT NULL
);
CREATE INDEX entente_conflict_open ON entente_conflict (tab, uid) WHERE open = 1;

-- Records that came and could not be applied yet, and records that cannot be sent.
CREATE TABLE entente_waiting (
  id INTEGER PRIMARY KEY, tab INTEGER NOT NULL, uid NOT NULL, site INTEGER NOT NULL, run INTEGER NOT NULL, at INTEGER NOT NULL,
  kind TEXT NOT NULL, reason TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX entente_waiting_uid ON entente_waiting (tab, uid);
CREATE UNIQUE INDEX entente_waiting_outgoing ON entente_waiting (tab, uid) WHERE kind = 'outgoing';
CREATE TABLE entente_missing (waiting INTEGER NOT NULL, tab INTEGER NOT NULL, uid NOT NULL, PRIMARY KEY (waiting, tab, uid)) WITHOUT ROWID;
CREATE INDEX entente_missing_uid ON entente_missing (tab, uid);
