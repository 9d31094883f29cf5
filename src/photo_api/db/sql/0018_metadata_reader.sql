-- Which reader of metadata a photo's fields are from. Those of the release before, which took the
-- date of an edit for that of the capture, are read anew by jobs, as is what it still adds.
ALTER TABLE photos ADD COLUMN metadata_reader smallint NOT NULL DEFAULT 0;
