//! Where two results differ: which files, and from which byte on.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    layout::LINKS,
    limits::Limits,
    result::{ResultError, is_compared},
    tree::{self, Node, TreeError},
};

/// What differs at one path of two results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The path in the results.
    pub path: String,
    /// What is there in the first result; `None` if nothing is.
    pub first: Option<Entry>,
    /// What is there in the second one.
    pub second: Option<Entry>,
    /// Where the contents of two files part, counted from 0; `None` if one of them is no file.
    pub at_byte: Option<u64>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Its length.
        bytes: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
}

/// What of two unpacked results nodes are compared by, and differs, in the order of paths. Empty directories and modes do not
/// count. Blocks.
///
/// # Errors
/// [`ResultError::Tree`].
pub fn differences(first: &Path, second: &Path, limits: &Limits) -> Result<Vec<Difference>, ResultError> {
    let go_on = CancellationToken::new();
    let look = |root: &Path| tree::walk(root, limits, LINKS, &go_on);
    let (of_first, of_second) = (look(first)?, look(second)?);
    let mut paths: Vec<&String> =
        of_first.keys().chain(of_second.keys()).filter(|path| is_compared(path)).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut found = Vec::new();
    for path in paths {
        let entry =
            |root: &Path, node: Option<&Node>| node.map(|node| entry(&root.join(path), node)).transpose();
        let (one, other) = (entry(first, of_first.get(path))?, entry(second, of_second.get(path))?);
        let at_byte = match (&one, &other) {
            (Some(Entry::File { .. }), Some(Entry::File { .. })) => {
                let (one, other) = (first.join(path), second.join(path));
                part(&one, &other).map_err(|source| TreeError::Io { path: one, source })?
            }
            _ => None,
        };
        if at_byte.is_some() || content(one.as_ref()) != content(other.as_ref()) {
            found.push(Difference { path: path.clone(), first: one, second: other, at_byte });
        }
    }
    Ok(found)
}

/// What of an entry is compared where contents are equal: whether it is a file, and where a link leads.
fn content(entry: Option<&Entry>) -> Option<Option<&str>> {
    match entry {
        None | Some(Entry::Directory) => None,
        Some(Entry::File { .. }) => Some(None),
        Some(Entry::Link { target }) => Some(Some(target)),
    }
}

fn entry(path: &Path, node: &Node) -> Result<Entry, TreeError> {
    Ok(match node {
        Node::Directory => Entry::Directory,
        Node::Link { target } => Entry::Link { target: target.clone() },
        Node::File { executable, .. } => {
            let metadata = std::fs::symlink_metadata(path);
            let metadata = metadata.map_err(|source| TreeError::Io { path: path.to_owned(), source })?;
            Entry::File { bytes: metadata.len(), executable: *executable }
        }
    })
}

/// Where two files part; `None` if they are equal.
fn part(first: &Path, second: &Path) -> io::Result<Option<u64>> {
    let open = |path| Ok::<_, io::Error>(BufReader::new(File::open(path)?).bytes());
    let (mut one, mut other) = (open(first)?, open(second)?);
    let mut at = 0;
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(None),
            (one, other) if one != other => return Ok(Some(at)),
            _equal => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use tempfile::TempDir;

    use super::*;

    fn result(stdout: &str, files: &[(&str, &str)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outputs")).unwrap();
        fs::write(dir.path().join("stdout"), stdout).unwrap();
        fs::write(dir.path().join("stderr"), format!("noise of {stdout}")).unwrap();
        for (path, content) in files {
            let path = dir.path().join("outputs").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn files_that_differ_are_named_with_the_byte_where_they_part() {
        let first = result("same", &[("a", "12345"), ("b", "x"), ("d/c", "1"), ("f", "longer")]);
        let second = result("same", &[("a", "12x45"), ("d/c", "1"), ("e", ""), ("f", "long")]);
        let found = differences(first.path(), second.path(), &Limits::with_bytes(1 << 20)).unwrap();
        let file = |bytes| Some(Entry::File { bytes, executable: false });
        let at = |path: &str, first, second, at_byte| Difference {
            path: format!("outputs/{path}"),
            first,
            second,
            at_byte,
        };
        assert_eq!(
            found,
            [
                at("a", file(5), file(5), Some(2)),
                at("b", file(1), None, None),
                at("e", None, file(0), None),
                at("f", file(6), file(4), Some(4)),
            ],
            "standard error is not compared"
        );
        assert_eq!(differences(first.path(), first.path(), &Limits::with_bytes(1 << 20)).unwrap(), []);
        let (full, bare) = (result("same", &[("a", "1")]), result("same", &[("a", "1")]));
        fs::create_dir(full.path().join("outputs/empty")).unwrap();
        fs::set_permissions(full.path().join("outputs/a"), fs::Permissions::from_mode(0o755)).unwrap();
        let found = differences(full.path(), bare.path(), &Limits::with_bytes(1 << 20)).unwrap();
        assert_eq!(found, [], "nodes are not compared by modes and empty directories");
        fs::write(bare.path().join("outputs/empty"), "").unwrap();
        let found = differences(full.path(), bare.path(), &Limits::with_bytes(1 << 20)).unwrap();
        assert_eq!(found[0].first, Some(Entry::Directory), "a file in place of a directory is: {found:?}");
        let printed = result("other", &[]);
        let found = differences(result("same", &[]).path(), printed.path(), &Limits::with_bytes(1 << 20));
        assert_eq!(found.unwrap()[0].path, "stdout");
    }
}
