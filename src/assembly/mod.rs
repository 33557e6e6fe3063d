//! One node put together: its backend chosen by name, its directory, key, executor and API.
//!
//! With `cli` and `devstack`, which start nodes, the only place that names a backend.
//!
//! - `backend`: who orders the events, and how the node reaches the others
//! - `host`: a node with everything that it works with

mod backend;
mod host;

pub use backend::{Backend, BackendStartError};
pub(crate) use host::Disk;
pub use host::{Host, HostConfig, HostError, Opening, Seams};
