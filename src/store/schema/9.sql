-- Who signed an entry's action, where this node checked the signatures before it stored the entry. Null in rows from
-- before, and where a chain vouches for the log. The checksum covers it.
ALTER TABLE entries ADD COLUMN author BLOB CHECK (length(author) = 20);
