//! Removes directories that a container's user closed to everybody else, on a node without root.
//!
//! The engine has the right: it unpacks an archive into a container that never starts, where a file replaces the directory.
//! So no program of any image runs for it.

use std::{collections::HashMap, path::Path};

use bollard::{
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{CreateContainerOptions, ListImagesOptions, UploadToContainerOptionsBuilder},
};
use tracing::{debug, info};

use super::{
    super::{ExecutorError, RunDir, run_dir::clear},
    config::{bind, probe_body},
    engine::DockerExecutor,
};

/// Where the scratch directory is in a container that never starts.
const MOUNTED_AT: &str = "/left";

impl DockerExecutor {
    /// Removes what runs in `scratch` could not remove themselves. Returns the number removed.
    pub(super) async fn remove_remains(
        &self,
        scratch: &Path,
        labels: HashMap<String, String>,
    ) -> Result<usize, ExecutorError> {
        let own_disk = |source| ExecutorError::ResultDir { path: scratch.to_owned(), source };
        let mut removed = 0;
        for dir in RunDir::left_in(scratch).map_err(own_disk)? {
            if let Err(error) = clear(&dir) {
                debug!(path = %dir.display(), %error, "the engine is asked to remove what a run left");
                self.replace_by_file(scratch, &dir, labels.clone()).await?;
                std::fs::remove_file(&dir).map_err(own_disk)?;
            }
            info!(path = %dir.display(), "what a run left is removed");
            removed += 1;
        }
        Ok(removed)
    }

    /// Has the engine replace a directory directly below `scratch` by an empty file.
    ///
    /// # Errors
    /// When the engine fails, or has no image to make a container of.
    pub async fn replace_by_file(
        &self,
        scratch: &Path,
        dir: &Path,
        labels: HashMap<String, String>,
    ) -> Result<(), ExecutorError> {
        let own_disk = |source| ExecutorError::ResultDir { path: dir.to_owned(), source };
        let scratch = std::path::absolute(scratch).map_err(own_disk)?;
        let images = self.docker().list_images(None::<ListImagesOptions>).await;
        let images = images.map_err(|error| self.failed("list its images", error))?;
        let Some(image) = images.first() else {
            return Err(ExecutorError::Lost { operation: "remove what a run left: it has no image" });
        };
        let body = probe_body(&image.id, labels);
        let host_config = HostConfig {
            mounts: Some(vec![bind(&scratch, MOUNTED_AT, false)]),
            ..body.host_config.unwrap_or_default()
        };
        let body = ContainerCreateBody { host_config: Some(host_config), ..body };
        let created = self.docker().create_container(None::<CreateContainerOptions>, body).await;
        let id =
            created.map_err(|error| self.failed("create a container to remove what a run left", error))?.id;
        let name = dir.file_name().unwrap_or_default();
        let mut archive = tar::Builder::new(vec![]);
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(0);
        let packed =
            archive.append_data(&mut header, name, std::io::empty()).and_then(|()| archive.into_inner());
        let packed = packed.map_err(|source| ExecutorError::ResultDir { path: dir.to_owned(), source });
        let uploaded = match packed {
            Ok(packed) => {
                let options = UploadToContainerOptionsBuilder::default().path(MOUNTED_AT).build();
                let body = bollard::body_full(packed.into());
                let uploaded = self.docker().upload_to_container(&id, Some(options), body).await;
                uploaded.map_err(|error| self.failed("remove what a run left", error))
            }
            Err(error) => Err(error),
        };
        self.remove(&id).await;
        uploaded
    }
}
