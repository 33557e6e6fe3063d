//! The ordered log of job events, and the backends that agree on it.
