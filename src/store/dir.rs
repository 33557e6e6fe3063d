//! The data directory of a node: only its owner can read it, and one process uses it at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::warn;

use crate::domain::NodeId;

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The operating system refused.
    #[error("cannot use the data directory {path}", path = path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Other users than the owner can use the directory, which holds the key and undisclosed results.
    #[error(
        "the data directory {path} has mode {mode:04o} and is open to other users of this machine; \
         run: chmod 700 {path}",
        path = path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process holds the directory.
    #[error(
        "the data directory {path} is in use by another process; stop that process or choose another directory",
        path = path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Another process acts with the same key, from another directory.
    #[error("another assay process uses the key of {node} (lock: {path})", path = path.display())]
    KeyInUse {
        /// Whose key it is.
        node: NodeId,
        /// The lock that the other process holds.
        path: PathBuf,
    },
}

/// A locked data directory. The lock is held until the last clone is dropped, or the process ends.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
    _lock: Arc<File>,
    _key_lock: Option<Arc<KeyLock>>,
}

impl DataDir {
    /// Locks the directory. Creates it (and its parents, for the owner alone) if it is missing. One that is
    /// empty is closed to others.
    ///
    /// # Errors
    /// [`DirError::Exposed`] if it holds something and group or world have any right to it, [`DirError::Locked`] if it is taken.
    pub fn open(path: &Path) -> Result<Self, DirError> {
        let io_error = |source| DirError::Io { path: path.to_owned(), source };
        // A temporary file in a relative directory, once renamed, would be looked for below that directory again.
        let path = &std::path::absolute(path).map_err(io_error)?;
        let io_error = |source| DirError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error)?;
        let mode = fs::metadata(path).map_err(io_error)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            if fs::read_dir(path).map_err(io_error)?.next().is_some() {
                return Err(DirError::Exposed { path: path.to_owned(), mode });
            }
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io_error)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join("lock")).map_err(io_error)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: Arc::new(lock), _key_lock: None }),
            Err(TryLockError::WouldBlock) => Err(DirError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io_error(source)),
        }
    }

    /// Ensures that no other process of this user acts with the key of `node`, as long as a clone of this lives. Two
    /// would use the same nonces and remove each other's containers.
    ///
    /// The lock is a file that all data directories share, below the directory for temporary files. Where it cannot be
    /// created, there is no lock, but a warning.
    ///
    /// # Errors
    /// [`DirError::KeyInUse`].
    pub fn lock_key(mut self, node: NodeId) -> Result<Self, DirError> {
        match KeyLock::take(node) {
            Ok(Some(lock)) => self._key_lock = Some(Arc::new(lock)),
            Ok(None) => return Err(DirError::KeyInUse { node, path: KeyLock::path(node) }),
            Err(error) => {
                warn!(%node, %error, "cannot create a lock, so another process may use this key too");
            }
        }
        Ok(self)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the node's key.
    pub fn key_file(&self) -> PathBuf {
        key_in(&self.path)
    }

    /// The file with the token of the node's API.
    pub fn token_file(&self) -> PathBuf {
        self.path.join("api.token")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        database_in(&self.path)
    }

    /// The content-addressed files.
    pub fn blobs(&self) -> PathBuf {
        blobs_in(&self.path)
    }
}

/// The database in a data directory.
pub(super) fn database_in(dir: &Path) -> PathBuf {
    dir.join("node.db")
}

/// The key in a data directory.
pub(super) fn key_in(dir: &Path) -> PathBuf {
    dir.join("node.key")
}

/// The content-addressed files in a data directory.
pub(super) fn blobs_in(dir: &Path) -> PathBuf {
    dir.join("blobs")
}

/// The lock of a key, in a directory of this user's alone; its file goes with it.
#[derive(Debug)]
struct KeyLock {
    file: File,
    path: PathBuf,
}

impl KeyLock {
    fn dir() -> io::Result<PathBuf> {
        let user = fs::metadata("/proc/self")?.uid();
        Ok(std::env::temp_dir().join(format!("assay-keys-{user}")))
    }

    fn path(node: NodeId) -> PathBuf {
        Self::dir().unwrap_or_default().join(format!("{node}.lock"))
    }

    /// `None` if another process has it.
    fn take(node: NodeId) -> io::Result<Option<Self>> {
        let (dir, path) = (Self::dir()?, Self::path(node));
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let (found, user) = (fs::symlink_metadata(&dir)?, fs::metadata("/proc/self")?.uid());
        if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!(
                "{} belongs to another user, or is open to others",
                dir.display()
            )));
        }
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            match file.try_lock() {
                // The last holder may have removed the file meanwhile; then others would find another file.
                Ok(())
                    if fs::metadata(&path)
                        .is_ok_and(|now| file.metadata().is_ok_and(|own| own.ino() == now.ino())) =>
                {
                    return Ok(Some(Self { file, path }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Removed while the lock is held; a file that stays does no harm.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_its_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let _dir = DataDir::open(&path).unwrap();
        for made in ["a", "a/b"] {
            let mode = fs::metadata(root.path().join(made)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        assert_eq!(fs::metadata(path.join("lock")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused_with_the_remedy() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("something"), "").unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o750)).unwrap();
        let err = DataDir::open(root.path()).unwrap_err();
        assert!(matches!(err, DirError::Exposed { mode: 0o750, .. }));
        assert!(err.to_string().contains("chmod 700"), "{err}");
    }

    #[test]
    fn an_empty_directory_is_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let _dir = DataDir::open(root.path()).unwrap();
        assert_eq!(fs::metadata(root.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_held_directory_is_refused_until_its_last_holder_lets_go() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap();
        let clone = first.clone();
        drop(first);
        let err = DataDir::open(root.path()).unwrap_err();
        assert!(matches!(&err, DirError::Locked { path } if path == root.path()));
        drop(clone);
        DataDir::open(root.path()).unwrap();
    }

    #[test]
    fn a_key_is_one_processs_at_a_time_whatever_its_directory() {
        let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let open = |root: &tempfile::TempDir| DataDir::open(root.path()).unwrap();
        // Of this test alone: the lock is shared by the whole machine.
        let mut id = [0; 20];
        getrandom::fill(&mut id).unwrap();
        let node = NodeId::new(id);
        let first = open(&roots[0]).lock_key(node).unwrap();
        let refused = open(&roots[1]).lock_key(node).unwrap_err();
        let DirError::KeyInUse { path, .. } = &refused else { panic!("{refused}") };
        assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
        id[0] ^= 1;
        open(&roots[1]).lock_key(NodeId::new(id)).unwrap();
        drop(first);
        let again = open(&roots[1]).lock_key(node).unwrap();
        assert!(path.exists());
        drop(again);
        assert!(!path.exists(), "it leaves nothing");
    }
}
