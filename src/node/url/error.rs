//! Why content did not come from a URL.

use std::{io, net::IpAddr, time::Duration};

use crate::{
    domain::Digest,
    explain::{Hint, bytes},
    scope::Scope,
    store::BlobError,
};

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
    /// No node gets anything by this scheme.
    #[error("{url} is not fetched: no node gets {scheme} URLs")]
    Unknown {
        /// The URL.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A redirect leads where none may lead: only a job itself names a file.
    #[error("{url} redirects to a {scheme} URL, and no node follows it there")]
    LeadsOff {
        /// The URL that redirects.
        url: String,
        /// The scheme of the other.
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
    /// The content is not as long as the job says.
    #[error("{url} has {found} bytes, not the {expected} that the job names")]
    Length {
        /// The URL.
        url: String,
        /// The length that the server states.
        found: u64,
        /// The length that it must have.
        expected: u64,
    },
    /// The content does not end where it should.
    #[error("{url} goes on behind the {expected} bytes that the job names")]
    Longer {
        /// The URL.
        url: String,
        /// The length that it must have.
        expected: u64,
    },
    /// The content is longer than this node takes.
    #[error("{url} has more than {}, the most that this node takes of one file", bytes(*.most))]
    TooLong {
        /// The URL.
        url: String,
        /// The longest content, in bytes.
        most: u64,
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
            | Self::Unknown { .. }
            | Self::LeadsOff { .. }
            | Self::Redirects { .. }
            | Self::Length { .. }
            | Self::Longer { .. }
            | Self::TooLong { .. }
            | Self::Hash { .. }
            | Self::File { .. }
            | Self::Store { .. } => false,
        }
    }
}

impl Hint for UrlError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Scheme { scheme, .. } if scheme == "https" => "start the node without --input-url none",
            Self::Scheme { scheme, .. } => {
                return Some(format!("give an https URL, or start the node with --input-url {scheme}"));
            }
            Self::Unknown { .. } | Self::LeadsOff { .. } => "give an https URL that leads to the file itself",
            Self::Address { address, .. } => match Scope::of(*address) {
                Scope::Loopback | Scope::Private | Scope::Public => {
                    "give a public address, or start the node with --input-url private"
                }
                Scope::Link | Scope::Nobody => "give another address: nothing has a node ask this one",
            },
            Self::Length { .. } | Self::Longer { .. } => {
                "the file has changed, or the job names a wrong length: submit a new job"
            }
            Self::TooLong { .. } => "divide the file, or put it into the image",
            Self::Hash { .. } => {
                "if the content at the URL is the one you want, name its hash: sha256sum FILE shows it"
            }
            Self::Status { .. }
            | Self::Redirects { .. }
            | Self::Resolve { .. }
            | Self::Unreachable { .. }
            | Self::Cut { .. }
            | Self::Slow { .. } => "try it from this machine: curl -LO URL",
            Self::Malformed { .. } | Self::File { .. } | Self::Store { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_what_helps() {
        let url = || "http://example.org/a".to_owned();
        let address = |ip: &str| UrlError::Address { url: url(), address: ip.parse().unwrap() };
        let scheme = |scheme: &str| UrlError::Scheme { url: url(), scheme: scheme.to_owned() };
        let leads = |scheme: &str| UrlError::LeadsOff { url: url(), scheme: scheme.to_owned() };
        for (error, helps, no_help) in [
            (address("10.0.0.1"), "--input-url private", "nothing has"),
            (address("169.254.169.254"), "another address", "--input-url"),
            (address("0.0.0.0"), "another address", "--input-url"),
            (scheme("file"), "--input-url file", "http or"),
            (scheme("http"), "--input-url http", "file"),
            (scheme("https"), "without --input-url none", "give"),
            (leads("file"), "https URL", "--input-url"),
            (leads("ftp"), "https URL", "--input-url"),
            (UrlError::TooLong { url: url(), most: 2 << 30 }, "divide the file", "length"),
            (UrlError::Length { url: url(), found: 12, expected: 13 }, "submit a new job", "--input-url"),
        ] {
            let hint = error.hint().unwrap();
            assert!(hint.contains(helps) && !hint.contains(no_help), "{error}: {hint}");
        }
        let long = UrlError::TooLong { url: url(), most: 2 << 30 }.to_string();
        assert!(long.contains("more than 2 GiB, the most that this node takes"), "{long}");
    }
}
