//! A submission and its answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Replication;
use crate::domain::{Deal, Input, JobId, Resources, SCRATCH_DIR, SUMMARY_FILE, Spec, TooFew};

/// Body of `POST /api/v1/jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The image by name, tag or digest; the node pins it.
    pub image: String,
    /// Replaces the image's entrypoint when not empty.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Arguments; the image's own when empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Absolute directory to start in.
    #[serde(default)]
    pub working_directory: Option<String>,
    /// Archives uploaded before, and where they appear in the container.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// Limits of the container.
    #[serde(default)]
    pub resources: Resources,
    /// Whether randomness and wall time come from the job's seed.
    #[serde(default)]
    pub seeded: bool,
    /// Files of `/outputs` that the deal's masks go over.
    #[serde(default)]
    pub text_files: Vec<String>,
    /// Whether anybody may fetch the result once the job has ended.
    #[serde(default)]
    pub public_result: bool,
    /// The file of `/outputs` with the numbers that the deal compares.
    #[serde(default = "default_summary_file")]
    pub summary_file: String,
    /// Where the scratch directory is, if the limits give it a size.
    #[serde(default = "default_scratch_dir")]
    pub scratch_dir: String,
    /// The platform that every run needs, such as `linux/amd64`.
    #[serde(default)]
    pub platform: Option<String>,
    /// The terms.
    pub deal: Deal,
    /// Who decides how many nodes run the job; with `auto` the node replaces what the deal says of that.
    #[serde(default)]
    pub replication: Replication,
}

impl SubmitRequest {
    /// The request for what a job runs, under these terms.
    pub fn again(spec: Spec, deal: Deal) -> Self {
        let Spec {
            image_name: _,
            image,
            entrypoint,
            command,
            environment,
            working_directory,
            inputs,
            resources,
            seeded,
            text_files,
            public_result,
            summary_file,
            scratch_dir,
            platform,
        } = spec;
        Self {
            image,
            entrypoint,
            command,
            environment,
            working_directory,
            inputs,
            resources,
            seeded,
            text_files,
            public_result,
            summary_file,
            scratch_dir,
            platform,
            deal,
            replication: Replication::Fixed,
        }
    }

    /// What to run, as the client names it, and under which terms.
    pub fn into_parts(self) -> (Spec, Deal, Replication) {
        let Self {
            image,
            entrypoint,
            command,
            environment,
            working_directory,
            inputs,
            resources,
            seeded,
            text_files,
            public_result,
            summary_file,
            scratch_dir,
            platform,
            deal,
            replication,
        } = self;
        let spec = Spec {
            image_name: image.clone(),
            image,
            entrypoint,
            command,
            environment,
            working_directory,
            inputs,
            resources,
            seeded,
            text_files,
            public_result,
            summary_file,
            scratch_dir,
            platform,
        };
        (spec, deal, replication)
    }
}

fn default_summary_file() -> String {
    SUMMARY_FILE.to_owned()
}

fn default_scratch_dir() -> String {
    SCRATCH_DIR.to_owned()
}

/// Answer to `POST /api/v1/jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitReply {
    /// The new job.
    pub job: JobId,
    /// The image as it was pinned.
    pub image: String,
    /// Where too few of the nodes that are known now take on such a job.
    #[serde(default)]
    pub too_few: Option<TooFew>,
    /// The program of a seeded job, where it is known to be a static binary: it draws nothing from the seed.
    #[serde(default)]
    pub unseeded_program: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_a_job_again_asks_for_all_that_it_ran() {
        let spec = Spec { seeded: true, public_result: true, ..Spec::sample() };
        let named_alike = Spec { image_name: spec.image.clone(), ..spec.clone() };
        let asked = SubmitRequest::again(spec, Deal::default()).into_parts();
        assert_eq!(asked, (named_alike, Deal::default(), Replication::Fixed));
    }
}
