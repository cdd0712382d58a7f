-- Where the store was moved to; what is here is the state before that.
ALTER TABLE site ADD COLUMN moved_to TEXT;

-- A word that is sealed with the key of this store, to know the key again.
CREATE TABLE key_check (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    sealed BLOB NOT NULL
) STRICT;
