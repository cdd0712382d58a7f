-- What a repository said when it last met us: how many records wait there for us, up to which arrivals it had taken what is here (JSON), and what it
-- offers (JSON). It is shown with its age; nothing is decided by it.
CREATE TABLE met (
    repository BIGINT PRIMARY KEY NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    waiting BIGINT,
    waiting_on BIGINT,
    taken TEXT NOT NULL,
    offer TEXT,
    offer_on BIGINT
);
