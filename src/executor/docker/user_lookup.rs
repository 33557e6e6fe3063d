//! Reads from an image whom its `USER` means.
//!
//! The files come from a container that never starts.

use std::{collections::HashMap, io::Read as _};

use bollard::{
    errors::Error,
    query_parameters::{CreateContainerOptions, DownloadFromContainerOptionsBuilder},
};
use futures::StreamExt as _;

use super::{
    super::ExecutorError,
    config::probe_body,
    engine::DockerExecutor,
    user::{NOBODY, User, Wanted},
};

/// The largest `/etc/passwd` or `/etc/group` that is read, in bytes, with an archive's overhead.
const MAX_FILE_BYTES: usize = 1 << 20;

/// How many links from file to file are followed.
const MAX_LINKS: usize = 4;

impl DockerExecutor {
    /// The user that a container of this image runs as.
    ///
    /// # Errors
    /// [`ExecutorError::ImageUser`] when the image names a user that it does not define.
    pub(super) async fn user_of(
        &self,
        image: &str,
        named: &str,
        labels: HashMap<String, String>,
    ) -> Result<User, ExecutorError> {
        let unknown =
            |problem: &str| ExecutorError::ImageUser { user: named.to_owned(), problem: problem.to_owned() };
        let Some(wanted) = Wanted::parse(named).map_err(unknown)? else { return Ok(NOBODY) };
        if let Some(user) = wanted.by_numbers() {
            return Ok(user);
        }
        let created =
            self.docker().create_container(None::<CreateContainerOptions>, probe_body(image, labels));
        let created = created.await;
        let id =
            created.map_err(|error| self.failed("create a container to read the image's users", error))?.id;
        let files = async {
            let passwd = self.file_of(&id, "/etc/passwd").await?;
            let group = self.file_of(&id, "/etc/group").await?;
            Ok((passwd, group))
        };
        let files = files.await;
        self.remove(&id).await;
        let (passwd, group) = files?;
        wanted.look_up(&passwd, &group).map_err(unknown)
    }

    /// The text of a small file in a container that does not run; empty if there is no file.
    async fn file_of(&self, id: &str, path: &str) -> Result<String, ExecutorError> {
        let mut path = path.to_owned();
        for _ in 0..=MAX_LINKS {
            let Some(archive) = self.archive_of(id, &path).await? else { return Ok(String::new()) };
            match first_entry(&archive) {
                Some(Entry::File(text)) => return Ok(text),
                Some(Entry::Link(target)) => path = join(&path, &target),
                None => return Ok(String::new()),
            }
        }
        Ok(String::new())
    }

    /// The first bytes of the archive of one path; `None` if nothing is there.
    async fn archive_of(&self, id: &str, path: &str) -> Result<Option<Vec<u8>>, ExecutorError> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut stream = Box::pin(self.docker().download_from_container(id, Some(options)));
        let mut archive = vec![];
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => archive.extend_from_slice(&chunk),
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
                Err(error) => return Err(self.failed("read the image's users", error)),
            }
            if archive.len() > MAX_FILE_BYTES {
                break;
            }
        }
        Ok(Some(archive))
    }
}

/// The first entry of an archive.
enum Entry {
    File(String),
    Link(String),
}

/// A longer file counts up to the last whole line that was read.
fn first_entry(archive: &[u8]) -> Option<Entry> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    match entry.header().entry_type() {
        tar::EntryType::Symlink => Some(Entry::Link(entry.link_name().ok()??.to_string_lossy().into_owned())),
        kind if kind.is_file() => {
            let size = entry.size();
            let mut bytes = vec![];
            let read = entry.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes);
            // A cut archive ends early or with an error.
            let whole = read.is_ok_and(|read| read as u64 == size);
            let text = String::from_utf8_lossy(&bytes);
            let end = if whole { text.len() } else { text.rfind('\n').unwrap_or(0) };
            Some(Entry::File(text[..end].to_owned()))
        }
        _ => None,
    }
}

/// Where a link at `path` leads. The engine keeps it inside the container.
fn join(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    format!("{parent}/{target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_shows_its_first_file_or_link() {
        let mut builder = tar::Builder::new(vec![]);
        let mut header = tar::Header::new_gnu();
        header.set_size(7);
        builder.append_data(&mut header, "passwd", &b"a:b\nc:d"[..]).unwrap();
        let archive = builder.into_inner().unwrap();
        assert!(matches!(first_entry(&archive), Some(Entry::File(text)) if text == "a:b\nc:d"));
        assert!(matches!(first_entry(&archive[..516]), Some(Entry::File(text)) if text == "a:b"));
        assert!(first_entry(b"no archive").is_none() && first_entry(b"").is_none());
        assert_eq!(join("/etc/passwd", "../run/passwd"), "/etc/../run/passwd");
        assert_eq!(join("/etc/passwd", "/nix/passwd"), "/nix/passwd");
    }
}
