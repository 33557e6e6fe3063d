//! The only place where a job changes.
