-- When a resource was last found equal at both sites.

CREATE TABLE verified (
    resource BIGINT PRIMARY KEY NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
    at BIGINT NOT NULL
);

-- When this site last did its daily housekeeping, and which worker is at it.
CREATE TABLE housekeeping (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    last BIGINT,
    holder TEXT,
    until BIGINT
);
INSERT INTO housekeeping (id) VALUES (1);
