//! Which image a name means, and how to get it here. Registries are asked without credentials.

use std::{pin::pin, time::Duration};

use bollard::{
    errors::Error,
    models::{CreateImageInfo, ImageInspect},
    query_parameters::CreateImageOptionsBuilder,
};
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::{super::ExecutorError, engine::DockerExecutor, registries::require_name};
use crate::domain::Spec;

/// The longest pull of one image for this node's own user: some gigabytes over a home line.
const PULL_LIMIT: Duration = Duration::from_secs(600);

/// The longest silence of an engine that pulls. It reports every piece, and is silent while it checks a layer.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// The longest question to a registry whether it has an image.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// An image by its permanent name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The user's name for it.
    pub name: String,
    /// `name@sha256:..`, or the image id `sha256:..` of an image that no registry knows.
    pub pinned: String,
}

impl DockerExecutor {
    /// Finds the image that `name` means now, and pulls it if it is not here. Asked once for each job, at submission. The
    /// name comes from the node's own user, so any registry may be asked.
    ///
    /// # Errors
    /// [`ExecutorError::ImageName`] when it is not a name, [`ExecutorError::ImageMissing`] when the image is not here and
    /// cannot be pulled.
    pub async fn resolve_image(&self, name: &str) -> Result<ResolvedImage, ExecutorError> {
        let image = match self.local_image(name).await? {
            Some(image) => image,
            None => self.pulled(name, None, Instant::now() + PULL_LIMIT).await?,
        };
        let digests = image.repo_digests.unwrap_or_default();
        let pinned =
            pin(name, &digests).or(image.id).ok_or_else(|| missing(name, "the engine gives no id for it"))?;
        debug!(image = name, %pinned, "image resolved");
        Ok(ResolvedImage { name: name.to_owned(), pinned })
    }

    /// The image of a job, pulled if necessary from a registry that this node asks, until `by` at the latest.
    pub(super) async fn image(&self, spec: &Spec, by: Instant) -> Result<ImageInspect, ExecutorError> {
        let name = spec.image.as_str();
        let image = match self.local_image(name).await? {
            Some(image) => image,
            None => {
                self.registries().require(name)?;
                self.pulled(name, spec.platform.as_deref(), by).await?
            }
        };
        self.require_platform(spec, [(image.os.as_deref(), image.architecture.as_deref())])?;
        Ok(image)
    }

    async fn pulled(
        &self,
        name: &str,
        platform: Option<&str>,
        by: Instant,
    ) -> Result<ImageInspect, ExecutorError> {
        self.pull(name, platform, by).await?;
        self.local_image(name).await?.ok_or_else(|| missing(name, "the pull ended without it"))
    }

    /// Whether the image of a job is here, or a registry that this node asks says that it has it, and this machine can run
    /// it.
    pub(super) async fn find_image(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let name = spec.image.as_str();
        if let Some(image) = self.local_image(name).await? {
            return self.require_platform(spec, [(image.os.as_deref(), image.architecture.as_deref())]);
        }
        refuse_bare_id(name)?;
        self.registries().require(name)?;
        match timeout(ASK_LIMIT, self.docker().inspect_registry_image(&in_path(name), None)).await {
            Ok(Ok(image)) => {
                let platforms = image.platforms.iter();
                self.require_platform(
                    spec,
                    platforms.map(|platform| (platform.os.as_deref(), platform.architecture.as_deref())),
                )
            }
            Ok(Err(error)) => Err(missing(name, &said(&error))),
            Err(_) => {
                Err(missing(name, &format!("its registry did not answer within {} s", ASK_LIMIT.as_secs())))
            }
        }
    }

    pub(super) async fn local_image(&self, name: &str) -> Result<Option<ImageInspect>, ExecutorError> {
        require_name(name)?;
        match self.docker().inspect_image(&in_path(name)).await {
            Ok(image) => Ok(Some(image)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.failed("look for the image", error)),
        }
    }

    /// Why a pull failed. An engine that went away is not a missing image.
    fn not_pulled(&self, name: &str, error: Error) -> ExecutorError {
        match &error {
            Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. } => {
                missing(name, &said(&error))
            }
            _ => self.failed("pull the image", error),
        }
    }

    /// Pulls an image while more of it comes, until `by` at the latest.
    async fn pull(&self, name: &str, platform: Option<&str>, by: Instant) -> Result<(), ExecutorError> {
        refuse_bare_id(name)?;
        // Without a tag the engine would pull every tag.
        let from = if require_name(name)?.is_exact() { name.to_owned() } else { format!("{name}:latest") };
        info!(image = name, "pulling the image");
        let options = CreateImageOptionsBuilder::default().from_image(&from);
        let options = platform.into_iter().fold(options, CreateImageOptionsBuilder::platform);
        let progress = self.docker().create_image(Some(options.build()), None, None);
        let begun = Instant::now();
        whole(name, progress, SILENCE_LIMIT, by).await.map_err(|cut| match cut {
            Cut::Silent => missing(name, &format!("nothing came for {} s", SILENCE_LIMIT.as_secs())),
            Cut::Late => {
                let seconds = begun.elapsed().as_secs();
                missing(name, &format!("it did not come whole in {seconds} s, and there is no more time"))
            }
            Cut::Failed(error) => self.not_pulled(name, error),
        })
    }
}

/// Why a pull ended before the image was whole.
#[derive(Debug)]
enum Cut {
    /// The engine said nothing for too long.
    Silent,
    /// The time for the whole image was over.
    Late,
    Failed(Error),
}

/// Waits for the end of a pull, while no step takes longer than `silence`, until `by` at the latest.
async fn whole(
    name: &str,
    progress: impl Stream<Item = Result<CreateImageInfo, Error>>,
    silence: Duration,
    by: Instant,
) -> Result<(), Cut> {
    let mut progress = pin!(progress);
    loop {
        let silent_until = Instant::now() + silence;
        let Ok(step) = timeout_at(silent_until.min(by), progress.next()).await else {
            return Err(if silent_until < by { Cut::Silent } else { Cut::Late });
        };
        let Some(step) = step else { return Ok(()) };
        let step = step.map_err(Cut::Failed)?;
        let (done, total) =
            step.progress_detail.map_or((None, None), |detail| (detail.current, detail.total));
        debug!(image = name, layer = step.id, status = step.status, done, total, "pulling");
    }
}

/// A name as part of a URL's path. Only the brackets of an address need escaping.
fn in_path(name: &str) -> String {
    name.replace('[', "%5B").replace(']', "%5D")
}

fn refuse_bare_id(name: &str) -> Result<(), ExecutorError> {
    if name.starts_with("sha256:") {
        return Err(missing(name, "it is named by an id, which no registry knows"));
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

/// The name without digest and tag, in the engine's short form. A colon before a slash starts a port.
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
    use futures::stream;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn steps(count: usize) -> impl Stream<Item = Result<CreateImageInfo, Error>> {
        stream::iter((0..count).map(|_| Ok(CreateImageInfo::default())))
    }

    #[tokio::test]
    async fn a_pull_goes_on_while_it_progresses_and_ends_with_a_silence_its_time_or_an_error() {
        let later = Instant::now() + HOUR;
        // What is there is taken without a wait, so that these depend on no clock.
        assert!(whole("x", steps(1000), Duration::ZERO, later).await.is_ok());
        let silent = whole("x", steps(3).chain(stream::pending()), Duration::ZERO, later).await;
        assert!(matches!(silent, Err(Cut::Silent)), "{silent:?}");
        let late = whole("x", steps(3).chain(stream::pending()), HOUR, Instant::now()).await;
        assert!(matches!(late, Err(Cut::Late)), "{late:?}");
        let gone = Error::DockerStreamError { error: "manifest unknown".to_owned() };
        let failed = whole("x", steps(3).chain(stream::iter([Err(gone)])), HOUR, later).await;
        assert!(matches!(failed, Err(Cut::Failed(_))), "{failed:?}");
    }

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
    fn the_brackets_of_an_address_are_escaped_in_a_path() {
        assert_eq!(in_path("[::1]:5/x"), "%5B::1%5D:5/x");
    }

    #[test]
    fn an_image_without_digests_has_no_pin_but_its_id() {
        assert_eq!(pin("assay/demo:1", &[]), None);
    }
}
