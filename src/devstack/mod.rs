//! Nodes put together: one of them, or several in one process, some of them bad, to try and test a network.
//!
//! With the command line, the only place that names a backend and an executor.
//!
//! - [`anvil`]: a chain to run the contract backend on
//! - `backend`: who orders the events, chosen by name
//! - [`chain`]: that chain with the contract on it, and money for every node
//! - `host`: one node with everything that it works with
//! - `stack`: several that know each other
//! - [`faults`]: how a bad node misbehaves: decorators around its scheduler and its executor

pub mod anvil;
mod backend;
pub mod chain;
pub mod faults;
mod host;
mod stack;

pub use backend::{Backend, BackendStartError};
pub use faults::{BadActors, Fault};
pub use host::{Host, HostConfig, HostError};
pub use stack::{DEFAULT_SLOTS, MAX_NODES, Stack, StackConfig, StackError, StackNode};
