//! What foreign bytes are tried on: one function for each decoder, and one that plays them as a job's events.
//!
//! A function panics where the program breaks a promise: the decoder panics, accepts a second form of a value, or a rule
//! loses money. It says whether it accepted the bytes, so that a seed that no longer means anything is noticed.
//! `tests/it/hostile` runs all of them on the seeds and on what fuzzing once found; `scripts/fuzz` looks for more.

mod decoders;
mod jobs;

pub use decoders::{
    action, announcement, api, archive, chain_log, document, entry, keystore, message, opening, spec, trace,
};
pub use jobs::transition;

/// Tries some bytes, and says whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target by its name, which is that of its file in `fuzz_targets` and of its folder in `seeds`.
pub const TARGETS: [(&str, Target); 13] = [
    ("action", action),
    ("announcement", announcement),
    ("api", api),
    ("archive", archive),
    ("chain_log", chain_log),
    ("document", document),
    ("entry", entry),
    ("keystore", keystore),
    ("message", message),
    ("opening", opening),
    ("spec", spec),
    ("trace", trace),
    ("transition", transition),
];
