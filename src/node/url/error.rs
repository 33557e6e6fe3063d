//! Why content did not come from a URL.

use std::{io, net::IpAddr, time::Duration};

use crate::{domain::Digest, explain::Hint, store::BlobError};

/// Why content did not come from a URL, or is another.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It cannot be read as a URL.
    #[error("{url:?} is not a URL: {reason}")]
    Malformed {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This node gets nothing by this scheme.
    #[error("{url} is not fetched: this node's operator allows no {scheme} URLs")]
    Scheme {
        /// The URL, maybe of a redirect.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// The host's name has no address.
    #[error("cannot resolve the host of {url}: {reason}")]
    Resolve {
        /// The URL.
        url: String,
        /// What the resolver said.
        reason: String,
    },
    /// The host is where this node's operator lets nobody look.
    #[error("{url} is not fetched: its host has the address {address}, which is not public")]
    Address {
        /// The URL, maybe of a redirect.
        url: String,
        /// One of its addresses.
        address: IpAddr,
    },
    /// No connection, or no answer in time.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The URL.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The server has no such content.
    #[error("{url} answers {status}")]
    Status {
        /// The URL.
        url: String,
        /// The status code.
        status: u16,
    },
    /// The server sends one elsewhere again and again, or nowhere.
    #[error("{url} redirects too often, or to no URL")]
    Redirects {
        /// The URL asked first.
        url: String,
    },
    /// The content is not as long as the job says, or longer than this node takes.
    #[error("{url} has {found} bytes, but the job allows {allowed}")]
    Size {
        /// The URL.
        url: String,
        /// The length that the server states, or what came until then.
        found: u64,
        /// The length that it must have, or may have.
        allowed: u64,
    },
    /// The connection ended early.
    #[error("{url} ended after {received} bytes: {reason}")]
    Cut {
        /// The URL.
        url: String,
        /// Bytes that came.
        received: u64,
        /// The cause.
        reason: String,
    },
    /// The content comes too slowly.
    #[error("{url} sent {received} bytes in {} s, which is too slow", after.as_secs())]
    Slow {
        /// The URL.
        url: String,
        /// Bytes that came.
        received: u64,
        /// Time since the beginning.
        after: Duration,
    },
    /// The content is another.
    #[error("{url} has other content: its SHA-256 is {found}, not {expected}")]
    Hash {
        /// The URL.
        url: String,
        /// What the job says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A file of this machine cannot be read.
    #[error("cannot read {url}")]
    File {
        /// The URL.
        url: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The content cannot be stored.
    #[error("cannot store the content of {url}")]
    Store {
        /// The URL.
        url: String,
        /// The cause.
        #[source]
        source: BlobError,
    },
}

impl UrlError {
    /// Whether another attempt may help, though nobody does anything.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Unreachable { .. } | Self::Cut { .. } | Self::Slow { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Malformed { .. }
            | Self::Scheme { .. }
            | Self::Address { .. }
            | Self::Redirects { .. }
            | Self::Size { .. }
            | Self::Hash { .. }
            | Self::File { .. }
            | Self::Store { .. } => false,
        }
    }
}

impl Hint for UrlError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Scheme { .. } => {
                "give an https URL, or start the node with --input-url http or --input-url file"
            }
            Self::Address { .. } => "give a public address, or start the node with --input-url private",
            Self::Hash { .. } => {
                "if the content at the URL is the one you want, name its hash: sha256sum FILE shows it"
            }
            Self::Status { .. }
            | Self::Resolve { .. }
            | Self::Unreachable { .. }
            | Self::Cut { .. }
            | Self::Slow { .. } => "try it from this machine: curl -LO URL",
            Self::Malformed { .. }
            | Self::Redirects { .. }
            | Self::Size { .. }
            | Self::File { .. }
            | Self::Store { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
