ALTER TABLE photos ADD COLUMN duplicate_of bigint;
COMMENT ON COLUMN photos.duplicate_of IS
    'the photo that this upload became, since it had the same bytes; no reference: that one may go';
