//! Walks a directory that a client named or a container wrote, and follows no link in it.
//!
//! Regular files, directories and symbolic links that stay inside the tree pass. Everything else is refused with its
//! path: the receiver lacks the target of a link that leads elsewhere, and a device or a pipe has no content. A
//! file with several names is taken once for each. The writer of the directory must be gone (the container removed); a
//! file that still changes is detected and refused.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, FileType, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::limits::Limits;

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
    /// A symbolic link that cannot be kept.
    #[error(
        "{path:?} is a symbolic link to {target:?}, which leads out of the tree; link to something inside, or copy the target"
    )]
    LinkOut {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: String,
    },
    /// Something that is neither a regular file nor a directory.
    #[error(
        "{path:?} is {kind}: only regular files, directories and links between them can be sent; remove it"
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
    /// Paths that are too long together.
    #[error("the paths below {path:?} have more than {limit} bytes together; use shorter or fewer names")]
    PathsTooLong {
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
    /// The reading was cancelled.
    #[error("reading {path:?} was cancelled")]
    Cancelled {
        /// What was about to be read.
        path: PathBuf,
    },
}

impl TreeError {
    /// Whether the writer of the tree is at fault, rather than the machine that reads it.
    pub fn is_fault_of_tree(&self) -> bool {
        match self {
            // A container's user may close its files, and only root reads them all the same.
            Self::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Changed { .. } | Self::Cancelled { .. } => false,
            Self::LinkOut { .. }
            | Self::UnsupportedFile { .. }
            | Self::UnsupportedName { .. }
            | Self::TooManyEntries { .. }
            | Self::PathsTooLong { .. }
            | Self::TooLongOrDeep { .. } => true,
        }
    }
}

/// A kind of file that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsupportedKind {
    /// A symbolic link where none may be.
    Symlink,
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
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// A directory, a file by the identity that it had when it was found, or a link by its target in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File { executable: bool, device: u64, inode: u64 },
    Link { target: String },
}

/// Which links a tree may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Links<'a> {
    /// Relative ones that stay below the root of the tree.
    Inside,
    /// Those below this directory of the tree that stay in it; a container knew it by this absolute path.
    Below { dir: &'a str, known_as: &'a str },
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

/// Cancels the reading of a tree.
pub(super) fn go_on(path: &Path, stop: &CancellationToken) -> Result<(), TreeError> {
    if stop.is_cancelled() { Err(TreeError::Cancelled { path: path.to_owned() }) } else { Ok(()) }
}

/// Everything below `root`, by path relative to it, in bytewise order of the paths.
pub(super) fn walk(
    root: &Path,
    limits: &Limits,
    links: Links<'_>,
    stop: &CancellationToken,
) -> Result<BTreeMap<String, Node>, TreeError> {
    let mut found = BTreeMap::new();
    let mut in_paths = 0_usize;
    let mut pending = vec![(String::new(), 1_usize)];
    while let Some((parent, depth)) = pending.pop() {
        let dir = root.join(&parent);
        let io_error = |source| TreeError::Io { path: dir.clone(), source };
        for entry in fs::read_dir(&dir).map_err(io_error)? {
            let entry = entry.map_err(io_error)?;
            let path = entry.path();
            go_on(&path, stop)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(TreeError::UnsupportedName { path });
            };
            let Limits { depth: max_depth, name_bytes, entries, path_bytes, bytes: _ } = *limits;
            if name.len() > name_bytes || depth > max_depth {
                return Err(TreeError::TooLongOrDeep { path, depth: max_depth, name_bytes });
            }
            if found.len() == entries {
                return Err(TreeError::TooManyEntries { path: root.to_owned(), limit: entries });
            }
            let metadata =
                fs::symlink_metadata(&path).map_err(|source| TreeError::Io { path: path.clone(), source })?;
            let node = if metadata.file_type().is_symlink() {
                read_link(&path)?
            } else {
                Node::of(&path, &metadata)?
            };
            let relative = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
            in_paths = in_paths.saturating_add(relative.len());
            if in_paths > path_bytes {
                return Err(TreeError::PathsTooLong { path: root.to_owned(), limit: path_bytes });
            }
            if node == Node::Directory {
                pending.push((relative.clone(), depth + 1));
            }
            found.insert(relative, node);
        }
    }
    settle_links(root, &mut found, links, stop)?;
    Ok(found)
}

fn read_link(path: &Path) -> Result<Node, TreeError> {
    let target = fs::read_link(path).map_err(|source| TreeError::Io { path: path.to_owned(), source })?;
    let target = target.into_os_string().into_string();
    let target = target.map_err(|_| TreeError::UnsupportedName { path: path.to_owned() })?;
    Ok(Node::Link { target })
}

/// Gives every link its target in its one form, now that all directories are known; refuses those that lead out.
fn settle_links(
    root: &Path,
    found: &mut BTreeMap<String, Node>,
    links: Links<'_>,
    stop: &CancellationToken,
) -> Result<(), TreeError> {
    let mut settled = vec![];
    for (path, node) in &*found {
        let Node::Link { target } = node else { continue };
        go_on(&root.join(path), stop)?;
        let within = match links {
            Links::Inside => Some((path.as_str(), "", None)),
            Links::Below { dir, known_as } => {
                let below = path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/'));
                below.map(|below| (below, dir, Some(known_as)))
            }
        };
        let Some((below, dir, known_as)) = within else {
            let kind = UnsupportedKind::Symlink;
            return Err(TreeError::UnsupportedFile { path: root.join(path), kind });
        };
        let is_directory = |inner: &str| {
            let full = if dir.is_empty() { inner.to_owned() } else { format!("{dir}/{inner}") };
            found.get(&full) == Some(&Node::Directory)
        };
        let Some(target) = link_target(below, target, known_as, is_directory) else {
            return Err(TreeError::LinkOut { path: root.join(path), target: target.clone() });
        };
        settled.push((path.clone(), Node::Link { target }));
    }
    found.extend(settled);
    Ok(())
}

/// The one form of the target of a link at `path`, which is relative to a root that the link may not leave: as many
/// `..` as it takes to the directory that it shares with its target, and names only after them; `.` where that is all.
///
/// `None` when it leads out of the root, or might: `..` after a name is taken back only if that is a directory, since
/// behind a link it would lead elsewhere. An absolute target counts when it is below `known_as`. Whether there is
/// something at the target does not matter.
pub(super) fn link_target(
    path: &str,
    target: &str,
    known_as: Option<&str>,
    is_directory: impl Fn(&str) -> bool,
) -> Option<String> {
    let mut parent: Vec<&str> = path.split('/').collect();
    parent.pop();
    let (mut at, rest) = match target.strip_prefix('/') {
        None if target.is_empty() => return None,
        None => (parent.clone(), target),
        Some(_) => {
            let rest = target.strip_prefix(known_as?)?;
            (vec![], rest.strip_prefix('/').or(rest.is_empty().then_some(""))?)
        }
    };
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                let known = at.len() <= parent.len() && at == parent[..at.len()];
                if !known && !is_directory(&at.join("/")) {
                    return None;
                }
                at.pop()?;
            }
            name if name.contains('\0') => return None,
            name => at.push(name),
        }
    }
    let shared = parent.iter().zip(&at).take_while(|(a, b)| a == b).count();
    let mut parts = vec![".."; parent.len() - shared];
    parts.extend(&at[shared..]);
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// Opens a file that was found and gives its length. Refuses another file that has replaced it.
pub(super) fn open(path: &Path, node: &Node) -> Result<(File, u64), TreeError> {
    let io_error = |source| TreeError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    if Node::of(path, &metadata)? != *node {
        return Err(TreeError::Changed { path: path.to_owned() });
    }
    Ok((file, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(path: &str, target: &str) -> Option<String> {
        let directories = ["a", "a/b", "d"];
        link_target(path, target, Some("/outputs"), |path| directories.contains(&path))
    }

    #[test]
    fn a_target_inside_the_tree_has_one_form() {
        for (path, target, expected) in [
            ("l", "x", "x"),
            ("l", "./x//y/", "x/y"),
            ("l", ".", "."),
            ("l", "a/../x", "x"),
            ("l", "/outputs/x", "x"),
            ("l", "/outputs", "."),
            ("l", "/outputs/", "."),
            ("a/b/l", "x", "x"),
            ("a/b/l", "../x", "../x"),
            ("a/b/l", "../b/x", "x"),
            ("a/b/l", "../../d/x", "../../d/x"),
            ("a/b/l", "/outputs/a/b/x", "x"),
            ("a/b/l", "/outputs/d", "../../d"),
            ("a/b/l", "/outputs", "../.."),
            ("a/b/l", "..", ".."),
            ("a/b/l", "../../a/b/l", "l"),
            ("l", "missing/deep", "missing/deep"),
        ] {
            assert_eq!(form(path, target).as_deref(), Some(expected), "{path} -> {target}");
            // What has its form keeps it, whatever else is in the tree.
            assert_eq!(link_target(path, expected, None, |_| false).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_target_that_leads_out_or_might_has_none() {
        for (path, target) in [
            ("l", ""),
            ("l", ".."),
            ("l", "/"),
            ("l", "/etc/passwd"),
            ("l", "/outputsx"),
            ("l", "/outputs/../x"),
            ("a/l", "../.."),
            ("a/b/l", "../../../x"),
            ("l", "x/../y"),
            ("l", "p/p/../../../x"),
            ("l", "a/../../x"),
            ("l", "x\0"),
        ] {
            assert_eq!(form(path, target), None, "{path} -> {target}");
        }
        assert_eq!(link_target("l", "/outputs/x", None, |_| true), None);
    }
}
