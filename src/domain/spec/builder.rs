//! Builds a spec field by field. The result is valid.

use std::collections::BTreeMap;

use super::{Input, Resources, Spec, SpecError};
use crate::domain::{SCRATCH_DIR, SUMMARY_FILE};

/// A spec in the making; see [`Spec::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until `build`"]
pub struct SpecBuilder {
    spec: Spec,
}

impl SpecBuilder {
    pub(super) fn new(image: String) -> Self {
        let spec = Spec {
            image_name: image.clone(),
            image,
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: BTreeMap::new(),
            working_directory: None,
            inputs: Vec::new(),
            resources: Resources::default(),
            seeded: false,
            text_files: Vec::new(),
            public_result: false,
            summary_file: SUMMARY_FILE.to_owned(),
            scratch_dir: SCRATCH_DIR.to_owned(),
            platform: None,
        };
        Self { spec }
    }

    /// The image's name for people, if it differs from the engine's.
    pub fn image_name(mut self, name: impl Into<String>) -> Self {
        self.spec.image_name = name.into();
        self
    }

    /// Replaces the image's entrypoint.
    pub fn entrypoint<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.spec.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// The arguments, or the whole command without an entrypoint.
    pub fn command<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.spec.command = words.into_iter().map(Into::into).collect();
        self
    }

    /// Adds environment variables. A name that is already set gets the new value.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.spec.environment.extend(variables);
        self
    }

    /// The absolute directory to start in.
    pub fn working_directory(mut self, path: impl Into<String>) -> Self {
        self.spec.working_directory = Some(path.into());
        self
    }

    /// Adds content to mount read-only.
    pub fn inputs(mut self, inputs: impl IntoIterator<Item = Input>) -> Self {
        self.spec.inputs.extend(inputs);
        self
    }

    /// The limits of the container.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.spec.resources = resources;
        self
    }

    /// Whether randomness and wall time come from the job's seed.
    pub fn seeded(mut self, seeded: bool) -> Self {
        self.spec.seeded = seeded;
        self
    }

    /// The text files in `/outputs` that the deal's masks apply to, as paths below `/outputs`.
    pub fn text_files(mut self, paths: impl IntoIterator<Item = String>) -> Self {
        self.spec.text_files = paths.into_iter().collect();
        self.spec.text_files.sort_unstable();
        self.spec.text_files.dedup();
        self
    }

    /// Whether anybody may fetch the result once the job has ended.
    pub fn public_result(mut self, public: bool) -> Self {
        self.spec.public_result = public;
        self
    }

    /// The file in `/outputs` with the numbers that the deal compares, as a path below `/outputs`.
    pub fn summary_file(mut self, path: impl Into<String>) -> Self {
        self.spec.summary_file = path.into();
        self
    }

    /// Where the scratch directory is. The limits give its size.
    pub fn scratch_dir(mut self, path: impl Into<String>) -> Self {
        self.spec.scratch_dir = path.into();
        self
    }

    /// The platform that every run needs, such as `linux/amd64`.
    pub fn platform(mut self, platform: Option<String>) -> Self {
        self.spec.platform = platform;
        self
    }

    /// The spec, with its paths in the document's form: see [`Spec::clean_paths`].
    ///
    /// # Errors
    /// As [`Spec::validate_new`].
    pub fn build(mut self) -> Result<Spec, SpecError> {
        self.spec.clean_paths();
        self.spec.validate_new()?;
        Ok(self.spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Digest, InputKind, SpecField};

    #[test]
    fn what_is_built_is_valid_with_clean_paths() {
        let target = "/data//in/".to_owned();
        let input = Input { digest: Digest::ZERO, bytes: 1, target, kind: InputKind::File, url: None };
        let spec = Spec::builder(format!("demo@sha256:{}", "a".repeat(64)))
            .image_name("demo:1")
            .entrypoint(["sh", "-c"])
            .command(["echo $SEED"])
            .environment([("SEED", "6")])
            .environment([("SEED", "7")])
            .working_directory("/data/")
            .inputs([input])
            .resources(Resources { pids: 3, ..Resources::default() })
            .seeded(true)
            .build()
            .unwrap();
        assert_eq!(Spec::from_document(&spec.to_document()), Ok(spec.clone()));
        assert_eq!(
            (spec.inputs[0].target.as_str(), spec.working_directory),
            ("/data/in", Some("/data".into()))
        );
        assert_eq!((spec.environment["SEED"].as_str(), spec.image_name.as_str()), ("7", "demo:1"));
        assert_eq!((spec.entrypoint.len(), spec.command.len(), spec.resources.pids), (2, 1, 3));
        assert!(spec.seeded);
    }

    #[test]
    fn what_no_node_may_run_is_not_built() {
        let refused = |builder: SpecBuilder, bad| {
            assert!(
                matches!(builder.build(), Err(SpecError::Invalid { field, .. }) if field == bad),
                "{bad}"
            );
        };
        let good = || Spec::builder("demo");
        refused(Spec::builder("no image"), SpecField::Image);
        refused(good().image_name(""), SpecField::Image);
        refused(good().command(["a\0b"]), SpecField::Command);
        refused(good().environment([("A=B", "")]), SpecField::Environment);
        refused(good().environment([("ASSAY_SEED", "7")]), SpecField::Environment);
        refused(good().working_directory("tmp"), SpecField::WorkingDirectory);
        refused(good().summary_file("../summary"), SpecField::SummaryFile);
        refused(good().resources(Resources { pids: 0, ..Resources::default() }), SpecField::Resources);
        let endless = good().command(["x".repeat(crate::domain::MAX_SPEC_BYTES)]);
        assert!(matches!(endless.build(), Err(SpecError::TooLong { .. })));
    }
}
