-- Which chain a contract's log was read from, and how far. Without a hash the block is to be read again.
CREATE TABLE chains (
    name    TEXT    NOT NULL PRIMARY KEY,
    genesis BLOB    CHECK (length(genesis) = 32),
    block   INTEGER NOT NULL CHECK (block >= 0),
    hash    BLOB    CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;

-- Signed transactions of this node that a chain may still lose: it sends them again then. Block 0: in none yet.
CREATE TABLE transactions (
    chain TEXT    NOT NULL,
    nonce INTEGER NOT NULL CHECK (nonce >= 0),
    hash  BLOB    NOT NULL CHECK (length(hash) = 32),
    raw   BLOB    NOT NULL,
    block INTEGER NOT NULL CHECK (block >= 0),
    PRIMARY KEY (chain, nonce)
) STRICT, WITHOUT ROWID;
