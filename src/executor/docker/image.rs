//! Which image a name means, and getting it here. Registries are asked without credentials.

use std::time::Duration;

use bollard::{errors::Error, models::ImageInspect, query_parameters::CreateImageOptionsBuilder};
use futures::StreamExt as _;
use tokio::time::timeout;
use tracing::{debug, info};

use super::{
    super::{ExecutorError, is_pinned},
    engine::DockerExecutor,
};

/// Longest pull of one image: some gigabytes over a home line.
const PULL_LIMIT: Duration = Duration::from_secs(600);

/// Longest question to a registry whether it has an image.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// An image as a job names it for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// What the user asked for.
    pub name: String,
    /// `name@sha256:..`, or the image id `sha256:..` of one that no registry knows.
    pub pinned: String,
}

impl DockerExecutor {
    /// Finds what `name` means now, pulling it when it is not here; once a job, at submission.
    ///
    /// # Errors
    /// [`ExecutorError::ImageMissing`] when it is neither here nor to be pulled.
    pub async fn resolve_image(&self, name: &str) -> Result<ResolvedImage, ExecutorError> {
        let image = self.image(name).await?;
        let digests = image.repo_digests.unwrap_or_default();
        let pinned =
            pin(name, &digests).or(image.id).ok_or_else(|| missing(name, "the engine gives it no id"))?;
        debug!(image = name, %pinned, "image resolved");
        Ok(ResolvedImage { name: name.to_owned(), pinned })
    }

    /// The image's description, after pulling it where it is not here.
    pub(super) async fn image(&self, name: &str) -> Result<ImageInspect, ExecutorError> {
        if let Some(image) = self.local_image(name).await? {
            return Ok(image);
        }
        self.pull(name).await?;
        self.local_image(name).await?.ok_or_else(|| missing(name, "the pull ended without it"))
    }

    /// Whether the image is here, or a registry says that it has it.
    pub(super) async fn find_image(&self, name: &str) -> Result<(), ExecutorError> {
        if self.local_image(name).await?.is_some() {
            return Ok(());
        }
        refuse_bare_id(name)?;
        match timeout(ASK_LIMIT, self.docker().inspect_registry_image(name, None)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(missing(name, &said(&error))),
            Err(_) => {
                Err(missing(name, &format!("its registry did not answer within {} s", ASK_LIMIT.as_secs())))
            }
        }
    }

    async fn local_image(&self, name: &str) -> Result<Option<ImageInspect>, ExecutorError> {
        match self.docker().inspect_image(name).await {
            Ok(image) => Ok(Some(image)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.failed("look for the image", error)),
        }
    }

    async fn pull(&self, name: &str) -> Result<(), ExecutorError> {
        refuse_bare_id(name)?;
        // Without a tag the engine would pull every tag there is.
        let last = name.rsplit('/').next().unwrap_or(name);
        let from = if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") };
        info!(image = name, "pulling the image");
        let options = CreateImageOptionsBuilder::default().from_image(&from).build();
        let mut progress = self.docker().create_image(Some(options), None, None);
        let pulled = timeout(PULL_LIMIT, async {
            while let Some(step) = progress.next().await {
                let step = step.map_err(|error| missing(name, &said(&error)))?;
                let (done, total) =
                    step.progress_detail.map_or((None, None), |detail| (detail.current, detail.total));
                debug!(image = name, layer = step.id, status = step.status, done, total, "pulling");
            }
            Ok(())
        });
        let limit = PULL_LIMIT.as_secs();
        pulled.await.unwrap_or_else(|_| Err(missing(name, &format!("the pull took longer than {limit} s"))))
    }
}

/// Refuses a spec whose image is not named by its content: nodes would run different images and be judged for it.
pub(super) fn require_pinned(image: &str) -> Result<(), ExecutorError> {
    if is_pinned(image) { Ok(()) } else { Err(ExecutorError::Unpinned { image: image.to_owned() }) }
}

fn refuse_bare_id(name: &str) -> Result<(), ExecutorError> {
    if name.starts_with("sha256:") {
        return Err(missing(name, "it is named by its id, which no registry knows"));
    }
    Ok(())
}

fn missing(image: &str, reason: &str) -> ExecutorError {
    ExecutorError::ImageMissing { image: image.to_owned(), reason: reason.to_owned() }
}

fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

/// The digest under which the named repository has the image.
///
/// An image may carry digests of several repositories; only the named one is known to be pulled by this name.
fn pin(name: &str, digests: &[String]) -> Option<String> {
    let wanted = repository(name);
    digests.iter().find(|digest| repository(digest) == wanted).cloned()
}

/// The name without digest and tag, as the engine shortens it. A colon before a slash is a port.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let name = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pinned_by_the_digest_of_the_repository_it_was_named_by() {
        let digests = ["mirror.example:5000/busybox@sha256:aa".to_owned(), "busybox@sha256:bb".to_owned()];
        for name in ["busybox", "busybox:1.36", "docker.io/library/busybox:1.36", "busybox@sha256:bb"] {
            assert_eq!(pin(name, &digests).as_deref(), Some("busybox@sha256:bb"), "{name}");
        }
        let mirrored = pin("mirror.example:5000/busybox", &digests);
        assert_eq!(mirrored.as_deref(), Some("mirror.example:5000/busybox@sha256:aa"));
        assert_eq!(pin("other/busybox", &digests), None);
    }

    #[test]
    fn only_a_whole_digest_pins_an_image() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        require_pinned(&digest).unwrap();
        require_pinned(&format!("mirror.example:5000/busybox:1@{digest}")).unwrap();
        for loose in [
            "busybox",
            "busybox:latest",
            "sha256:0a0a",
            "busybox@sha256:0a",
            &digest[7..],
            &digest.to_uppercase(),
        ] {
            assert!(matches!(require_pinned(loose), Err(ExecutorError::Unpinned { .. })), "{loose}");
        }
    }

    #[test]
    fn an_image_without_digests_has_no_pin_but_its_id() {
        assert_eq!(pin("assay/demo:1", &[]), None);
    }
}
