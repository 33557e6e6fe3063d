//! Several nodes in one process, some of them bad, to try and test a network.
//!
//! - [`anvil`]: a chain to run the contract backend on
//! - [`chain`]: that chain with the contract on it, and money for every node
//! - `stack`: several that know each other
//! - [`faults`]: how a bad node misbehaves: decorators around its scheduler and its executor
//!
//! ```
//! use assay::devstack::{BadActors, Fault};
//!
//! let bad: BadActors = "2:collude".parse()?;
//! assert_eq!((bad.count, bad.fault), (2, Fault::Collude));
//! # Ok::<(), assay::devstack::faults::ParseBadActorsError>(())
//! ```

pub mod anvil;
pub mod chain;
pub mod faults;
mod stack;

pub use faults::{BadActors, Fault};
pub use stack::{DEFAULT_SLOTS, MAX_NODES, Stack, StackConfig, StackError, StackNode};
