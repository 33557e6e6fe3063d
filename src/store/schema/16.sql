-- How a node did in a job: 0 rejected, 1 accepted, 2 failed, 3 silent. Earlier rows have 0 for all that was not accepted.
CREATE TABLE conduct (
    job     BLOB    NOT NULL CHECK (length(job) = 32),
    node    BLOB    NOT NULL CHECK (length(node) = 20),
    conduct INTEGER NOT NULL CHECK (conduct BETWEEN 0 AND 3),
    PRIMARY KEY (job, node)
) STRICT, WITHOUT ROWID;
INSERT INTO conduct (job, node, conduct) SELECT job, node, accepted FROM reputation;
DROP TABLE reputation;
