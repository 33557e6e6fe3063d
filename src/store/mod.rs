//! What a node keeps on disk: the log, its own executions, content by digest.
