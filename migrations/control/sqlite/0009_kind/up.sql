-- Which protocol a repository speaks, and the name that it gave itself.
ALTER TABLE repository ADD COLUMN kind TEXT NOT NULL DEFAULT 'entente';
ALTER TABLE repository ADD COLUMN offered_name TEXT;
