//! Which images and registries this node asks for.

use super::super::ExecutorError;
use crate::domain::{DEFAULT_REGISTRY, ImageName, is_pinned};

/// The registries that this node asks for the images of other people's jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registries(Vec<String>);

impl Registries {
    /// Registries that anybody can reach, whose answers say nothing about this node's own network.
    pub const PUBLIC: [&str; 7] = [
        DEFAULT_REGISTRY,
        "ghcr.io",
        "quay.io",
        "gcr.io",
        "registry.k8s.io",
        "public.ecr.aws",
        "mcr.microsoft.com",
    ];

    /// Only these registries; none for an empty list.
    pub fn new(named: impl IntoIterator<Item = String>) -> Self {
        Self(named.into_iter().collect())
    }

    pub(super) fn require(&self, image: &str) -> Result<(), ExecutorError> {
        let registry = require_name(image)?.registry();
        if self.0.iter().any(|allowed| allowed == registry) {
            return Ok(());
        }
        Err(ExecutorError::RegistryNotAsked { image: image.to_owned(), registry: registry.to_owned() })
    }
}

impl Default for Registries {
    fn default() -> Self {
        Self::new(Self::PUBLIC.map(str::to_owned))
    }
}

/// A name that may be shown to an engine; an image id is one too.
pub(super) fn require_name(name: &str) -> Result<ImageName<'_>, ExecutorError> {
    ImageName::parse(name).map_err(|reason| ExecutorError::ImageName { image: name.to_owned(), reason })
}

/// Refuses a spec whose image is not named by its content. Nodes would run different images and be judged for it.
pub(super) fn require_pinned(image: &str) -> Result<(), ExecutorError> {
    if is_pinned(image) { Ok(()) } else { Err(ExecutorError::Unpinned { image: image.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_registries_than_those_named_are_not_asked() {
        let asked = Registries::default();
        for image in ["busybox", "docker.io/library/busybox", "ghcr.io/a/b:1"] {
            asked.require(image).unwrap();
        }
        for image in [
            "127.0.0.1:5999/x",
            "localhost/x",
            "[::1]/x",
            "169.254.169.254/x",
            "intranet.example/x",
            "ghcr.io:81/x",
        ] {
            let refused = asked.require(image);
            assert!(matches!(refused, Err(ExecutorError::RegistryNotAsked { .. })), "{image}: {refused:?}");
        }
        Registries::new(["127.0.0.1:5999".to_owned()]).require("127.0.0.1:5999/x").unwrap();
        assert!(Registries::new([]).require("busybox").is_err());
    }
}
