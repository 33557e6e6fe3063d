//! Inputs that come from URLs, on the word of a stranger.
//!
//! - `source`: opens a URL: which schemes and addresses this node's operator allows, redirects included.
//! - `fetch`: takes the content to disk, piece by piece, resumes it, and checks its length and hash.
//!
//! A job can name any URL, including services that were never meant for strangers. So this node connects to the very
//! addresses that it has checked, and checks every redirect anew. What another name server says a moment later
//! changes nothing.

mod error;
mod fetch;
mod source;

pub use error::UrlError;
pub use source::UrlLimits;
