//! The HTTP API of one node, for the command line and for programs on the same machine.
//!
//! It asks nobody who they are, so it listens on the loopback address unless told otherwise, and refuses requests
//! that a browser sends for a foreign site. Nothing that helps to copy a result leaves through it before the
//! result's job has ended.
//!
//! - [`types`]: its JSON, shared with the client. `server`: addresses, limits, who may ask.
//! - `jobs`, `content`, `events`: the handlers. `view`: what there is to say about a job, in words too.
//! - `error`: every answer that is no success.

mod content;
mod error;
mod events;
mod jobs;
mod server;
pub mod types;
mod view;

pub use server::{ApiConfig, ServeError, router, serve};
