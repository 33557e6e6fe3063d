//! Reads files of an image, from a container that never starts.

use std::{collections::HashMap, io::Read as _};

use bollard::{
    errors::Error,
    query_parameters::{CreateContainerOptions, DownloadFromContainerOptionsBuilder},
};
use futures::StreamExt as _;

use super::{super::ExecutorError, config::probe_body, engine::DockerExecutor};

/// How many links from file to file are followed.
const MAX_LINKS: usize = 4;

/// The blocks of an archive before and after a file.
const OVERHEAD_BYTES: usize = 16 << 10;

/// The beginning of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// Whether that is all of it.
    pub(super) is_whole: bool,
}

impl DockerExecutor {
    /// Creates a container to read files from. The caller removes it.
    pub(super) async fn shelf(
        &self,
        image: &str,
        labels: HashMap<String, String>,
    ) -> Result<String, ExecutorError> {
        let body = probe_body(image, labels);
        let created = self.docker().create_container(None::<CreateContainerOptions>, body).await;
        Ok(created.map_err(|error| self.failed("create a container to read files of the image", error))?.id)
    }

    /// The first `most` bytes of a file in such a container; `None` if there is no file.
    pub(super) async fn head_of(
        &self,
        id: &str,
        path: &str,
        most: usize,
    ) -> Result<Option<Head>, ExecutorError> {
        let mut path = path.to_owned();
        for _ in 0..=MAX_LINKS {
            let Some(archive) = self.archive_of(id, &path, most + OVERHEAD_BYTES).await? else {
                return Ok(None);
            };
            match first_entry(&archive, most) {
                Some(Entry::File(head)) => return Ok(Some(head)),
                Some(Entry::Link(target)) => path = join(&path, &target),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The first bytes of the archive of one path; `None` if nothing is there.
    async fn archive_of(&self, id: &str, path: &str, most: usize) -> Result<Option<Vec<u8>>, ExecutorError> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut stream = Box::pin(self.docker().download_from_container(id, Some(options)));
        let mut archive = vec![];
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => archive.extend_from_slice(&chunk),
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
                Err(error) => return Err(self.failed("read files of the image", error)),
            }
            if archive.len() > most {
                break;
            }
        }
        Ok(Some(archive))
    }
}

/// The first entry of an archive.
enum Entry {
    File(Head),
    Link(String),
}

fn first_entry(archive: &[u8], most: usize) -> Option<Entry> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    match entry.header().entry_type() {
        tar::EntryType::Symlink => Some(Entry::Link(entry.link_name().ok()??.to_string_lossy().into_owned())),
        kind if kind.is_file() => {
            let size = entry.size();
            let mut bytes = vec![];
            // A cut archive ends early or with an error.
            let read = entry.take(most as u64).read_to_end(&mut bytes);
            let is_whole = read.is_ok_and(|read| read as u64 == size);
            Some(Entry::File(Head { bytes, is_whole }))
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
        let head = |archive: &[u8], most| match first_entry(archive, most) {
            Some(Entry::File(Head { bytes, is_whole })) => Some((bytes, is_whole)),
            Some(Entry::Link(_)) | None => None,
        };
        assert_eq!(head(&archive, 100), Some((b"a:b\nc:d".to_vec(), true)));
        assert_eq!(head(&archive, 3), Some((b"a:b".to_vec(), false)));
        assert_eq!(head(&archive[..516], 100), Some((b"a:b\n".to_vec(), false)));
        assert!(first_entry(b"no archive", 100).is_none() && first_entry(b"", 100).is_none());
        assert_eq!(join("/etc/passwd", "../run/passwd"), "/etc/../run/passwd");
        assert_eq!(join("/etc/passwd", "/nix/passwd"), "/nix/passwd");
    }
}
