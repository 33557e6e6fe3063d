//! Running a job's container, and sampling its memory.
