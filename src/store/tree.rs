//! Walks a directory that a client named or a container wrote, and follows no link in it.
//!
//! Only regular files and directories pass. Everything else is refused with its path: what a link points to
//! is not what was asked to be sent, and a device or a pipe has no content. Whoever wrote the directory must
//! be gone (the container removed); a file that changes all the same is noticed and refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File, FileType, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::archive::Limits;

/// A directory tree that cannot be taken as content.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The operating system refused.
    #[error("cannot read {path:?}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Something that is neither a regular file nor a directory.
    #[error(
        "{path:?} is {kind}: only regular files and directories can be sent; remove it or copy what it points to"
    )]
    UnsupportedFile {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: UnsupportedKind,
    },
    /// A name that is not UTF-8.
    #[error("the name of {path:?} is not UTF-8; rename it")]
    UnsupportedName {
        /// The file.
        path: PathBuf,
    },
    /// More files and directories than allowed.
    #[error("{path:?} holds more than {limit} files and directories")]
    TooManyEntries {
        /// The root of the tree.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A name longer, or a directory deeper, than allowed.
    #[error("{path:?} is too long or too deep: at most {depth} levels of {name_bytes} bytes each")]
    TooLongOrDeep {
        /// The file.
        path: PathBuf,
        /// The limit of levels.
        depth: usize,
        /// The limit of bytes in one name.
        name_bytes: usize,
    },
    /// Somebody wrote to the tree while it was read.
    #[error("{path:?} changed while it was read; try again when nothing writes to it")]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// What is no regular file and no directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsupportedKind {
    /// A symbolic link, wherever it points.
    Symlink,
    /// A second name of a file that has one in the same tree.
    HardLink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
}

impl fmt::Display for UnsupportedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symlink => "a symbolic link",
            Self::HardLink => "a hard link to another file here",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// A directory, or a file by the identity that it had when it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File { executable: bool, device: u64, inode: u64 },
}

impl Node {
    pub(super) fn of(path: &Path, metadata: &Metadata) -> Result<Self, TreeError> {
        let file_type = metadata.file_type();
        if file_type.is_dir() {
            return Ok(Self::Directory);
        }
        if !file_type.is_file() {
            let kind = unsupported(file_type);
            return Err(TreeError::UnsupportedFile { path: path.to_owned(), kind });
        }
        let executable = metadata.mode() & 0o100 != 0;
        Ok(Self::File { executable, device: metadata.dev(), inode: metadata.ino() })
    }
}

fn unsupported(file_type: FileType) -> UnsupportedKind {
    if file_type.is_symlink() {
        UnsupportedKind::Symlink
    } else if file_type.is_fifo() {
        UnsupportedKind::Fifo
    } else if file_type.is_socket() {
        UnsupportedKind::Socket
    } else {
        UnsupportedKind::Device
    }
}

/// Everything below `root`, by path relative to it, in bytewise order of the paths.
pub(super) fn walk(root: &Path, limits: &Limits) -> Result<BTreeMap<String, Node>, TreeError> {
    let mut found = BTreeMap::new();
    let mut pending = vec![(String::new(), 1_usize)];
    while let Some((parent, depth)) = pending.pop() {
        let dir = root.join(&parent);
        let io_error = |source| TreeError::Io { path: dir.clone(), source };
        for entry in fs::read_dir(&dir).map_err(io_error)? {
            let entry = entry.map_err(io_error)?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(TreeError::UnsupportedName { path });
            };
            let Limits { depth: max_depth, name_bytes, entries, bytes: _ } = *limits;
            if name.len() > name_bytes || depth > max_depth {
                return Err(TreeError::TooLongOrDeep { path, depth: max_depth, name_bytes });
            }
            if found.len() == entries {
                return Err(TreeError::TooManyEntries { path: root.to_owned(), limit: entries });
            }
            let metadata =
                fs::symlink_metadata(&path).map_err(|source| TreeError::Io { path: path.clone(), source })?;
            let node = Node::of(&path, &metadata)?;
            let relative = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
            if node == Node::Directory {
                pending.push((relative.clone(), depth + 1));
            }
            found.insert(relative, node);
        }
    }
    refuse_hard_links(root, &found)?;
    Ok(found)
}

/// Of several names of one file the first in order passes; on which one the error falls is then certain.
fn refuse_hard_links(root: &Path, found: &BTreeMap<String, Node>) -> Result<(), TreeError> {
    let mut seen = BTreeSet::new();
    for (path, node) in found {
        if let Node::File { device, inode, .. } = node
            && !seen.insert((device, inode))
        {
            let kind = UnsupportedKind::HardLink;
            return Err(TreeError::UnsupportedFile { path: root.join(path), kind });
        }
    }
    Ok(())
}

/// Opens a file that was found, and gives its length; refuses what has taken its place since.
pub(super) fn open(path: &Path, node: Node) -> Result<(File, u64), TreeError> {
    let io_error = |source| TreeError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    if Node::of(path, &metadata)? != node {
        return Err(TreeError::Changed { path: path.to_owned() });
    }
    Ok((file, metadata.len()))
}
