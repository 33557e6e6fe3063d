//! Why a run gave no result.

use serde::{Deserialize, Serialize};

use super::text::name_as_text;

/// Why a seat's run ended without a result. The order is part of the wire format: only append.
///
/// A command that exits non-zero is no failure: it is a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum FailureKind {
    /// The run did not end within the timeout of the deal.
    Timeout = 0,
    /// The run needed more memory than the spec allows.
    Memory = 1,
    /// The run wrote more to `/outputs` than the spec allows.
    Disk = 2,
    /// The container engine failed or could not start the container.
    Engine = 3,
    /// The image was not available.
    Image = 4,
    /// An input was not available, or did not match its digest.
    Input = 5,
    /// The node stopped, or crashed and started again, while the job ran.
    Interrupted = 6,
    /// The run left something in `/outputs` that a result cannot hold.
    Output = 7,
    /// The image has no command, or the container cannot start as the job asks.
    Command = 8,
    /// The working directory is not a directory.
    WorkingDirectory = 9,
    /// The image is made for another processor or operating system.
    Platform = 10,
    /// Something other than a lack of memory killed the run: an outsider, the run itself, or the node's full disk.
    Killed = 11,
}

impl FailureKind {
    /// Every kind, in the order of the wire format.
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Memory,
        Self::Disk,
        Self::Engine,
        Self::Image,
        Self::Input,
        Self::Interrupted,
        Self::Output,
        Self::Command,
        Self::WorkingDirectory,
        Self::Platform,
        Self::Killed,
    ];

    /// The kind with this index on the wire.
    pub fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }

    /// The index on the wire.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// Whether the node is to blame rather than the job. Only such failures count in a node's reputation. A job that needs
    /// more than it asked for, an image that nobody has and an input that its requester does not serve fail on every honest
    /// node.
    pub const fn is_fault_of_node(self) -> bool {
        match self {
            Self::Engine | Self::Interrupted => true,
            Self::Timeout
            | Self::Memory
            | Self::Disk
            | Self::Image
            | Self::Input
            | Self::Output
            | Self::Command
            | Self::WorkingDirectory
            | Self::Platform
            | Self::Killed => false,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Engine => "engine",
            Self::Image => "image",
            Self::Input => "input",
            Self::Interrupted => "interrupted",
            Self::Output => "output",
            Self::Command => "command",
            Self::WorkingDirectory => "working_directory",
            Self::Platform => "platform",
            Self::Killed => "killed",
        }
    }
}

/// The text names no failure kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown failure kind")]
pub struct UnknownFailureKind;

name_as_text!(FailureKind, name, UnknownFailureKind);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_names_are_inverse() {
        for (index, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.index()), index);
            assert_eq!(FailureKind::from_index(kind.index()), Some(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!(FailureKind::from_index(12), None);
    }

    #[test]
    fn a_node_is_to_blame_for_its_engine_and_for_stopping_alone() {
        let blamed = FailureKind::ALL.into_iter().filter(|kind| kind.is_fault_of_node());
        assert!(blamed.eq([FailureKind::Engine, FailureKind::Interrupted]));
    }
}
