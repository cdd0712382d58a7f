-- When a resource was last found equal at both sites.

CREATE TABLE verified (
    resource INTEGER PRIMARY KEY NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
    at INTEGER NOT NULL
) STRICT;
