-- What tells a row that the disk has altered from one that is as it was written; null in rows from before.
ALTER TABLE entries ADD COLUMN checksum BLOB CHECK (length(checksum) = 32);
ALTER TABLE executions ADD COLUMN checksum BLOB CHECK (length(checksum) = 32);

-- Nonces are random now: counted ones were given again after the database was lost.
DROP TABLE nonce;
