-- What was lost can be found, decided again and put back. A table that is merged field by field gets entente_base_N beside its state:
-- its records as they were when they were last exchanged.

-- What a person chose and when; the record's version after the decision.
ALTER TABLE entente_conflict ADD COLUMN choice TEXT;
ALTER TABLE entente_conflict ADD COLUMN decided INTEGER;
ALTER TABLE entente_conflict ADD COLUMN after TEXT;

CREATE INDEX entente_history_run ON entente_history (run, tab);
CREATE INDEX entente_history_at ON entente_history (at);
