-- When a resource was last found equal at both sites.

CREATE TABLE verified (
    resource INTEGER PRIMARY KEY NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
    at INTEGER NOT NULL
) STRICT;

-- When this site last did its daily housekeeping, and which worker is at it.
CREATE TABLE housekeeping (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    last INTEGER,
    holder TEXT,
    until INTEGER
) STRICT;
INSERT INTO housekeeping (id) VALUES (1);
