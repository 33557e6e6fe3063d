-- What jobs that ended used, so that nobody has to read their logs to find out whether content is needed.
CREATE TABLE ended_content (
    digest    BLOB    NOT NULL CHECK (length(digest) = 32),
    job       BLOB    NOT NULL CHECK (length(job) = 32),
    -- Whether it is a result of the job; else it is an input.
    is_result INTEGER NOT NULL CHECK (is_result IN (0, 1)),
    PRIMARY KEY (digest, job, is_result)
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_content_jobs ON ended_content (job);
CREATE INDEX ended_oldest ON ended (ended_at);
CREATE INDEX executions_roots ON executions (output_root) WHERE output_root IS NOT NULL;
