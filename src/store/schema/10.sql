-- What a failed run of this node leaves for its job's requester. The newest are kept.
CREATE TABLE last_words (
    job      BLOB NOT NULL UNIQUE CHECK (length(job) = 32),
    document BLOB NOT NULL
) STRICT;
