-- What this node, as a requester, remembers of others; policy::trust folds it.
CREATE TABLE trust (
    node      BLOB    NOT NULL PRIMARY KEY CHECK (length(node) = 20),
    compared  INTEGER NOT NULL CHECK (compared >= 0),
    kept      INTEGER NOT NULL CHECK (kept >= 0),
    rejected  INTEGER NOT NULL CHECK (rejected >= 0),
    proofs    INTEGER NOT NULL CHECK (proofs >= 0),
    odd       INTEGER NOT NULL CHECK (odd BETWEEN 0 AND 255),
    -- Ids of jobs, the oldest first.
    unchecked BLOB    NOT NULL CHECK (length(unchecked) % 32 = 0),
    -- When the last of its jobs ended, in seconds since 1970.
    last      INTEGER NOT NULL CHECK (last >= 0)
) STRICT, WITHOUT ROWID;

-- Jobs of this node.
CREATE TABLE replications (
    job     BLOB    NOT NULL PRIMARY KEY CHECK (length(job) = 32),
    -- Why so many nodes run it; NULL where its user chose.
    plan    BLOB,
    -- Whether its verdict is in the records of its nodes.
    counted INTEGER NOT NULL DEFAULT 0 CHECK (counted IN (0, 1)),
    own_run TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX due_own_runs ON replications (job) WHERE own_run = 'due';
