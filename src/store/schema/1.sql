-- The log as it arrived at this node. AUTOINCREMENT: a cursor is never given twice.
CREATE TABLE entries (
    cursor     INTEGER PRIMARY KEY AUTOINCREMENT,
    job        BLOB    NOT NULL CHECK (length(job) = 32),
    height     INTEGER NOT NULL CHECK (height >= 1),
    entry_hash BLOB    NOT NULL CHECK (length(entry_hash) = 32),
    bytes      BLOB    NOT NULL,
    UNIQUE (job, height),
    UNIQUE (job, entry_hash)
) STRICT;
CREATE INDEX first_entries ON entries (cursor) WHERE height = 1;

-- How far a named reader of something outside has come.
CREATE TABLE cursors (
    name     TEXT    NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL CHECK (position >= 0)
) STRICT, WITHOUT ROWID;

-- This node's own runs, one a job. What a commitment covers is all there or not at all.
CREATE TABLE executions (
    job         BLOB    NOT NULL PRIMARY KEY CHECK (length(job) = 32),
    started_at  INTEGER NOT NULL CHECK (started_at >= 0),
    starts      INTEGER NOT NULL CHECK (starts >= 1),
    stage       TEXT    NOT NULL CHECK (stage IN ('started', 'finished', 'failed')),
    result_hash BLOB    CHECK (length(result_hash) = 32),
    output_root BLOB    CHECK (length(output_root) = 32),
    exit_code   INTEGER,
    fingerprint BLOB    CHECK (length(fingerprint) = 32),
    salt        BLOB    CHECK (length(salt) = 32),
    failure     INTEGER,
    CHECK ((stage = 'finished') = (result_hash IS NOT NULL)),
    CHECK ((stage = 'finished') = (output_root IS NOT NULL)),
    CHECK ((stage = 'finished') = (exit_code IS NOT NULL)),
    CHECK ((stage = 'finished') = (fingerprint IS NOT NULL)),
    CHECK ((stage = 'finished') = (salt IS NOT NULL)),
    CHECK ((stage = 'failed') = (failure IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- How each node fared in each job that this node took part in.
CREATE TABLE reputation (
    job      BLOB    NOT NULL CHECK (length(job) = 32),
    node     BLOB    NOT NULL CHECK (length(node) = 20),
    accepted INTEGER NOT NULL CHECK (accepted IN (0, 1)),
    PRIMARY KEY (job, node)
) STRICT, WITHOUT ROWID;

-- The next nonce of this node as a requester: one row.
CREATE TABLE nonce (
    id   INTEGER PRIMARY KEY CHECK (id = 0),
    next INTEGER NOT NULL
) STRICT;
INSERT INTO nonce (id, next) VALUES (0, 0);

-- What a requester notes of its own jobs; the text is JSON and nobody's business but the requester's.
CREATE TABLE submissions (
    job   BLOB NOT NULL PRIMARY KEY CHECK (length(job) = 32),
    notes TEXT NOT NULL
) STRICT, WITHOUT ROWID;
