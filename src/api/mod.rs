//! The HTTP API of one node, for the command line and for programs on the same machine.
//!
//! It speaks plain HTTP, so it listens on the loopback address unless told otherwise. Other users of the machine can
//! reach that address, so every request that tells or does something must carry the node's token. The API refuses
//! requests that a browser sends for a foreign site. Nothing that helps to copy a result leaves through it before the
//! result's job has ended.
//!
//! - [`types`]: its JSON, shared with the client. `server`: paths, limits, admission. `token`: access.
//! - `listening`: answers before the node has read its logs.
//! - `connections`: their limits, and which is closed first.
//! - `dashboard`: the pages for a browser; `tickets`, `sessions`: how a browser gets the token.
//! - `plot`: the curves of a job's runs.
//! - `jobs`, `content`, `events`: the handlers. `view`: a job in numbers and words; `reason`: the words of its verdict.
//! - `retention`: what the node keeps on its disk. `intake`: whether it takes on work. `metrics`: the node in numbers.
//! - `openapi`: the API as a document; `schema`: forms that its types do not give.
//! - `error`: error answers; `refusal`: their JSON.
//!
//! A client reads the token from the node's data directory and sends it with every request:
//!
//! ```
//! use assay::api::Token;
//!
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("token");
//! let of_the_node = Token::create(&path)?;
//! assert_eq!(Token::read(&path)?.header(), of_the_node.header());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connections;
mod content;
mod dashboard;
mod error;
mod events;
mod health;
mod inputs;
mod intake;
mod jobs;
mod listening;
mod metrics;
mod openapi;
mod plot;
mod reason;
mod refusal;
mod retention;
mod schema;
mod server;
mod sessions;
mod state;
mod tickets;
mod token;
pub mod types;
mod view;

pub use listening::{ApiConfig, Listening, ServeError, listen, serve};
pub use token::{Token, TokenError};
pub use view::seats;
