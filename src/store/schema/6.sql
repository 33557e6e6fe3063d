-- The entry by which a requester broke the log of its job, as it signed it. Kept as long as
-- the job: it is the proof.
CREATE TABLE faults (
    job   BLOB NOT NULL PRIMARY KEY CHECK (length(job) = 32),
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
