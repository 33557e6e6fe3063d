-- What clients asked for under a key of theirs: what was to be done, and what came of it.
CREATE TABLE requests (
    key TEXT PRIMARY KEY,
    -- Of the request, so that another one under the same key is found out.
    digest BLOB NOT NULL,
    plan BLOB NOT NULL,
    -- NULL until it was done.
    reply BLOB
) STRICT, WITHOUT ROWID;
