-- Which records are shared: a list of texts, as JSON.
ALTER TABLE resource ADD COLUMN filters TEXT NOT NULL DEFAULT '[]';

-- Records that were let go because they no longer match.
ALTER TABLE log ADD COLUMN retracted BIGINT NOT NULL DEFAULT 0;
