//! The HTTP API of a node, under `/api/v1`.
