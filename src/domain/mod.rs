//! The values of the field: no async, no I/O, no clock, no randomness.
