//! What a job runs: the spec, its canonical document and its hash.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Digest, ImageName, NodeId, RESERVED_VARIABLES, SUMMARY_FILE, is_platform};

mod builder;
mod places;
mod url;

pub use builder::SpecBuilder;
use places::{clean_path, is_clean_absolute, is_output};
pub use url::{MAX_URL_BYTES, UrlScheme};

/// The largest spec document, in bytes. It holds a command line and an environment, not data.
pub const MAX_SPEC_BYTES: usize = 32 * 1024;

/// The most inputs of one job.
pub const MAX_INPUTS: usize = 16;

/// The directory in the container whose files become the job's outputs.
pub const OUTPUTS_DIR: &str = "/outputs";

/// The default place of the scratch directory.
pub const SCRATCH_DIR: &str = "/scratch";

/// The most text files that a spec may name.
pub const MAX_TEXT_FILES: usize = 64;

/// What every accepted node runs. The timeout is a term of the deal, since rules depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The image for an engine: `name@sha256:..` in a registry, or an image id `sha256:..`.
    pub image: String,
    /// The image as the requester named it, for people.
    pub image_name: String,
    /// Replaces the image's entrypoint when not empty.
    pub entrypoint: Vec<String>,
    /// Arguments, or the whole command when there is no entrypoint; the image's own when empty.
    pub command: Vec<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Absolute directory to start in; the image's own if absent.
    pub working_directory: Option<String>,
    /// Content mounted read-only.
    pub inputs: Vec<Input>,
    /// Limits of the container.
    pub resources: Resources,
    /// Whether the program gets its randomness and wall time from the job's seed. The document holds only `true`, so older
    /// documents keep their hash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seeded: bool,
    /// The text files in `/outputs` that the deal's masks apply to, as they apply to standard output. Paths below
    /// `/outputs`, ascending, without repetition. The document leaves out an empty list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_files: Vec<String>,
    /// Whether anybody may fetch the result once the job has ended. No rule depends on it, so it is no term of the deal; the
    /// hash of the document binds it all the same, and it costs a chain nothing. The document holds only `true`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public_result: bool,
    /// The file in `/outputs` with the numbers that the deal compares, as a path below `/outputs`. The document leaves out
    /// the default, [`SUMMARY_FILE`].
    #[serde(default = "default_summary_file", skip_serializing_if = "is_default_summary_file")]
    pub summary_file: String,
    /// Where the scratch directory is, if the limits give it a size. The document leaves out the default, [`SCRATCH_DIR`].
    #[serde(default = "default_scratch_dir", skip_serializing_if = "is_default_scratch_dir")]
    pub scratch_dir: String,
    /// The platform that every run needs, as images name theirs, such as `linux/amd64`; whatever the image is built for if
    /// absent. An image may be built for several, and their outputs may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// Content that every node mounts read-only. The requester provides it, or a URL does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// SHA-256 of the canonical archive, or of the file at the URL.
    pub digest: Digest,
    /// The length of either in bytes.
    pub bytes: u64,
    /// Absolute path in the container.
    pub target: String,
    /// What appears there. The document leaves it out for a directory, which was the only kind at first, so older documents
    /// keep their meaning and their hash.
    #[serde(default, skip_serializing_if = "InputKind::is_directory")]
    pub kind: InputKind,
    /// Where nodes get the content; absent if the requester sends it. What comes from a URL is one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Input {
    /// Who must hold the content before it is mounted: the requester, or in place of anybody the URL. So what one URL gave
    /// is not taken for what another one would.
    pub fn holder(&self, requester: NodeId) -> NodeId {
        self.url.as_deref().map_or(requester, Self::holder_of_url)
    }

    /// The holder of the content of a URL. No key belongs to it.
    pub fn holder_of_url(url: &str) -> NodeId {
        let hash = Digest::keccak([b"assay url\0", url.as_bytes()].concat());
        let mut holder = [0; 20];
        holder.copy_from_slice(&hash.as_bytes()[12..]);
        NodeId::new(holder)
    }
}

/// What an input is in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// The target is a directory with the archive's content.
    #[default]
    Directory,
    /// The target is the one file in the archive.
    File,
}

impl InputKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    const fn is_directory(&self) -> bool {
        matches!(self, Self::Directory)
    }
}

/// Limits of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Memory in bytes, without swap.
    pub memory_bytes: u64,
    /// CPU time per wall time, in thousandths of one CPU.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes that `/outputs` and the volumes of the image may hold together.
    pub disk_bytes: u64,
    /// Bytes that `/tmp` may hold; it is memory. The document leaves out 64 MiB, the default.
    #[serde(default = "default_tmp_bytes", skip_serializing_if = "is_default_tmp_bytes")]
    pub tmp_bytes: u64,
    /// Bytes of disk that the scratch directory may hold; there is none if this is 0, which the document leaves out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scratch_bytes: u64,
}

/// The default size of `/tmp`, in bytes.
const DEFAULT_TMP_BYTES: u64 = 64 << 20;

const fn default_tmp_bytes() -> u64 {
    DEFAULT_TMP_BYTES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_default_tmp_bytes(bytes: &u64) -> bool {
    *bytes == DEFAULT_TMP_BYTES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

fn default_scratch_dir() -> String {
    SCRATCH_DIR.to_owned()
}

fn is_default_scratch_dir(dir: &str) -> bool {
    dir == SCRATCH_DIR
}

fn default_summary_file() -> String {
    SUMMARY_FILE.to_owned()
}

fn is_default_summary_file(file: &str) -> bool {
    file == SUMMARY_FILE
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            cpu_millis: 1000,
            pids: 256,
            disk_bytes: 1 << 30,
            tmp_bytes: DEFAULT_TMP_BYTES,
            scratch_bytes: 0,
        }
    }
}

/// A field of a spec that has bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecField {
    /// The image, or its name.
    Image,
    /// The entrypoint, the command, or the value of a variable.
    Command,
    /// The name of a variable.
    Environment,
    /// The working directory.
    WorkingDirectory,
    /// An input or its target.
    Inputs,
    /// The text files among the outputs.
    TextFiles,
    /// The summary file among the outputs.
    SummaryFile,
    /// The place of the scratch directory.
    ScratchDir,
    /// The platform.
    Platform,
    /// The limit on memory.
    MemoryBytes,
    /// The limits together.
    Resources,
}

/// Why a spec, or its document, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The document is longer than [`MAX_SPEC_BYTES`].
    #[error("the spec has {actual} bytes, at most {MAX_SPEC_BYTES} are allowed")]
    TooLong {
        /// Its length.
        actual: usize,
    },
    /// The document is not the JSON of a spec.
    #[error("the spec cannot be read: {reason}")]
    Malformed {
        /// What the JSON reader said.
        reason: String,
    },
    /// The document reads as a spec but is not its canonical form.
    #[error("the spec is not in canonical form")]
    NotCanonical,
    /// A field's value is out of bounds.
    #[error("{field} {problem}")]
    Invalid {
        /// The field.
        field: SpecField,
        /// What is wrong with it.
        problem: String,
    },
}

impl Spec {
    /// Begins a spec. `image` is its name for the engine and for people. The rest defaults to the image's own and the usual
    /// limits.
    ///
    /// ```
    /// use assay::domain::{Resources, Spec};
    ///
    /// let spec = Spec::builder("assay/demo:1")
    ///     .command(["sh", "-c", "echo $SEED > /outputs/seed"])
    ///     .environment([("SEED", "7")])
    ///     .resources(Resources { memory_bytes: 64 << 20, ..Resources::default() })
    ///     .build()?;
    /// assert_eq!(Spec::from_document(&spec.to_document()), Ok(spec));
    ///
    /// let error = Spec::builder("assay/demo:1").working_directory("../up").build().unwrap_err();
    /// assert_eq!(error.to_string(), "working_directory must be an absolute path without .. or NUL");
    /// # Ok::<(), assay::domain::SpecError>(())
    /// ```
    pub fn builder(image: impl Into<String>) -> SpecBuilder {
        SpecBuilder::new(image.into())
    }

    /// A spec for any use: `true` in an image called `demo`. The table of cases, tests and examples use it.
    pub fn sample() -> Self {
        let sample = Self::builder("sha256:00").image_name("demo").command(["true"]).build();
        sample.expect("its fields are constants, and a test builds it")
    }

    /// The one JSON form of this spec: fields in declaration order, no white space.
    pub fn to_document(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a spec has string keys only, so that JSON can hold it")
    }

    /// Reads a stranger's document: bounded, canonical and valid, or refused.
    ///
    /// # Errors
    /// See [`SpecError`]; nothing is repaired.
    pub fn from_document(document: &[u8]) -> Result<Self, SpecError> {
        if document.len() > MAX_SPEC_BYTES {
            return Err(SpecError::TooLong { actual: document.len() });
        }
        let spec: Self = serde_json::from_slice(document)
            .map_err(|error| SpecError::Malformed { reason: error.to_string() })?;
        if spec.to_document() != document {
            return Err(SpecError::NotCanonical);
        }
        spec.validate()?;
        Ok(spec)
    }

    /// SHA-256 of a spec document.
    pub fn hash_document(document: &[u8]) -> Digest {
        Digest::sha256(document)
    }

    /// Brings container paths into the document's form: `/inputs/` and `//inputs/.` become `/inputs`. A path that leads
    /// upwards stays as it is, so that validation refuses it.
    pub fn clean_paths(&mut self) {
        let targets = self.inputs.iter_mut().map(|input| &mut input.target);
        for path in targets.chain(&mut self.working_directory).chain([&mut self.scratch_dir]) {
            *path = clean_path(path);
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`SpecError::Invalid`] for the first field out of bounds, [`SpecError::TooLong`] for the whole.
    pub fn validate(&self) -> Result<(), SpecError> {
        let invalid = |field, problem: &str| Err(SpecError::Invalid { field, problem: problem.to_owned() });
        for name in [&self.image, &self.image_name] {
            if let Err(error) = ImageName::parse(name) {
                return invalid(SpecField::Image, &error.to_string());
            }
        }
        let words = self.entrypoint.iter().chain(&self.command);
        if words.chain(self.environment.values()).any(|word| word.contains('\0')) {
            return invalid(SpecField::Command, "must not contain NUL bytes");
        }
        if self.environment.keys().any(|key| key.is_empty() || key.contains(['=', '\0'])) {
            return invalid(SpecField::Environment, "has a name that is empty or contains = or NUL");
        }
        if self.working_directory.as_deref().is_some_and(|path| !is_clean_absolute(path)) {
            return invalid(SpecField::WorkingDirectory, "must be an absolute path without .. or NUL");
        }
        self.validate_inputs()?;
        self.validate_scratch()?;
        let ascends = self.text_files.is_sorted_by(|a, b| a < b);
        let are_outputs = self.text_files.iter().all(|path| is_output(path));
        if self.text_files.len() > MAX_TEXT_FILES || !ascends || !are_outputs {
            let problem = format!(
                "must be at most {MAX_TEXT_FILES} paths below {OUTPUTS_DIR}, relative to it, ascending and without repetition"
            );
            return invalid(SpecField::TextFiles, &problem);
        }
        if !is_output(&self.summary_file) {
            return invalid(
                SpecField::SummaryFile,
                &format!("must be a path below {OUTPUTS_DIR}, relative to it"),
            );
        }
        if self.platform.as_deref().is_some_and(|platform| !is_platform(platform)) {
            return invalid(
                SpecField::Platform,
                "must be an operating system and an architecture, such as linux/amd64",
            );
        }
        let Resources { memory_bytes, cpu_millis, pids, disk_bytes, tmp_bytes, scratch_bytes } =
            self.resources;
        if memory_bytes < 6 << 20 {
            return invalid(
                SpecField::MemoryBytes,
                "must be at least 6 MiB, which an engine needs to start a container",
            );
        }
        let sizes = [memory_bytes, disk_bytes, tmp_bytes];
        if cpu_millis == 0
            || pids == 0
            || sizes.iter().any(|size| *size == 0 || i64::try_from(*size).is_err())
            || i64::try_from(scratch_bytes).is_err()
        {
            return invalid(SpecField::Resources, "must all be above zero, but for scratch, and fit 63 bits");
        }
        let actual = self.to_document().len();
        if actual > MAX_SPEC_BYTES {
            return Err(SpecError::TooLong { actual });
        }
        Ok(())
    }

    /// Checks a new spec before submission: every field, and that no variable has a reserved name. A log may hold an older
    /// spec with such a name; a node's own value replaces it.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn validate_new(&self) -> Result<(), SpecError> {
        self.validate()?;
        match self.environment.keys().find(|name| name.starts_with(RESERVED_VARIABLES)) {
            Some(name) => Err(SpecError::Invalid {
                field: SpecField::Environment,
                problem: format!(
                    "must not set {name:?}: names that begin with {RESERVED_VARIABLES} are reserved"
                ),
            }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for SpecField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Image => "image",
            Self::Command => "command",
            Self::Environment => "environment",
            Self::WorkingDirectory => "working_directory",
            Self::Inputs => "inputs",
            Self::TextFiles => "text_files",
            Self::SummaryFile => "summary_file",
            Self::ScratchDir => "scratch_dir",
            Self::Platform => "platform",
            Self::MemoryBytes => "resources.memory_bytes",
            Self::Resources => "resources",
        })
    }
}

#[cfg(test)]
mod tests;
