//! The HTTP API of one node, for the command line and for programs on the same machine.
//!
//! [`types`] is its JSON, shared with the client.

pub mod types;
