//! The files of a result, by their hashes.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    layout::LINKS,
    limits::Limits,
    result::{ResultError, hash_content, is_compared},
    tree::{self, Node, TreeError},
};
use crate::domain::Digest;

/// The files of an unpacked result that nodes are compared by, each with the SHA-256 of its content, in the order of paths.
/// Links are left out: they have no content. Blocks.
///
/// # Errors
/// [`ResultError::Tree`].
pub fn manifest(result_dir: &Path, limits: &Limits) -> Result<Vec<(String, Digest)>, ResultError> {
    let go_on = CancellationToken::new();
    let found = tree::walk(result_dir, limits, LINKS, &go_on)?;
    let is_file = |node: &Node| matches!(node, Node::File { .. });
    let files = found.iter().filter(|(path, node)| is_file(node) && is_compared(path));
    files.map(|(path, node)| Ok((path.clone(), hash_of(&result_dir.join(path), node, &go_on)?))).collect()
}

fn hash_of(path: &Path, node: &Node, go_on: &CancellationToken) -> Result<Digest, ResultError> {
    let (file, length) = tree::open(path, node)?;
    let mut hasher = Sha256::new();
    if hash_content(file, length, path, &mut hasher, go_on)? != length {
        return Err(TreeError::Changed { path: path.to_owned() }.into());
    }
    Ok(Digest::new(hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::store::{EXIT_CODE, STDERR, STDOUT};

    #[test]
    fn what_is_compared_and_has_content_is_named_with_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("outputs/sub")).unwrap();
        for (name, content) in
            [(STDOUT, "out"), (STDERR, "noise"), (EXIT_CODE, "0\n"), ("outputs/sub/a", "a")]
        {
            fs::write(dir.path().join(name), content).unwrap();
        }
        symlink("sub/a", dir.path().join("outputs/link")).unwrap();
        let expected = [("outputs/sub/a", "a"), (STDOUT, "out")];
        let expected = expected.map(|(name, content)| (name.to_owned(), Digest::sha256(content)));
        assert_eq!(manifest(dir.path(), &Limits::with_bytes(1 << 20)).unwrap(), expected);
    }
}
