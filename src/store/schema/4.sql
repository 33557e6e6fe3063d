-- Who has shown that it holds which content: by an upload here, by sending all of it, or by a run of this node.
CREATE TABLE holdings (
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    holder BLOB NOT NULL CHECK (length(holder) = 20),
    PRIMARY KEY (digest, holder)
) STRICT, WITHOUT ROWID;
