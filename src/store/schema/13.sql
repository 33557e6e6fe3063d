-- Whether the job of an entry has ended and left memory. Such entries are read job by job, never by a start.
ALTER TABLE entries ADD COLUMN ended INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1));
CREATE INDEX live_entries ON entries (cursor) WHERE ended = 0;
CREATE INDEX live_first_entries ON entries (cursor) WHERE ended = 0 AND height = 1;

-- A row for each job that left memory: what lists and a start need to know of it.
CREATE TABLE ended (
    job          BLOB    NOT NULL PRIMARY KEY CHECK (length(job) = 32),
    requester    BLOB    NOT NULL CHECK (length(requester) = 20),
    parent       BLOB    CHECK (length(parent) = 32),
    state        TEXT    NOT NULL,
    submitted_at INTEGER NOT NULL CHECK (submitted_at >= 0),
    ended_at     INTEGER NOT NULL CHECK (ended_at >= 0),
    -- Whether the job speaks for its requester.
    is_honest    INTEGER NOT NULL CHECK (is_honest IN (0, 1)),
    -- The rest of the row of a list; nobody's business but the node's.
    summary      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_newest ON ended (submitted_at DESC, job);
CREATE INDEX ended_states ON ended (state);
CREATE INDEX ended_children ON ended (parent) WHERE parent IS NOT NULL;
CREATE INDEX ended_honest ON ended (requester) WHERE is_honest = 1;
