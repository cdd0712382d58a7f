-- In which lives of a peer's journal its run numbers were heard: two machines that present themselves as one end each other's in turn.
ALTER TABLE entente_share ADD COLUMN lives TEXT NOT NULL DEFAULT '';
