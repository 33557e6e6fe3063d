//! Several nodes in one process, some of them bad, to try and test a network.
//!
//! - [`faults`]: how a bad node misbehaves: decorators around its scheduler and its executor

pub mod faults;

pub use faults::{BadActors, Fault};
