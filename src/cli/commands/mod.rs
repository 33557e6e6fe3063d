//! One function for each command: settings in, requests to a node, results out.

use super::{client::is_job_prefix, settings::SettingsError};

pub(super) mod attest;
pub(super) mod calibrate;
pub(super) mod check;
mod check_chain;
pub(super) mod config;
pub(super) mod contract;
pub(super) mod dashboard;
pub(super) mod describe;
mod describe_money;
mod describe_replication;
mod describe_steps;
pub(super) mod devstack;
pub(super) mod diff;
pub(super) mod doctor;
mod dry_run;
pub(super) mod earnings;
pub(super) mod explain;
pub(super) mod group;
pub(super) mod intake;
pub(super) mod job_files;
mod job_rows;
pub(super) mod jobs;
mod list_watch;
pub(super) mod node;
pub(super) mod plot;
pub(super) mod program;
pub(super) mod rerun;
pub(super) mod results;
pub(super) mod retention;
pub(super) mod serve;
pub(super) mod sim;
pub(super) mod store;
pub(super) mod submit;
pub(super) mod verdict;
pub(super) mod wallet;

/// The user's name for a job, escaped for the path of a request.
fn job_name(text: &str) -> Result<&str, SettingsError> {
    if is_job_prefix(text) { Ok(text) } else { Err(SettingsError::JobName { text: text.to_owned() }) }
}
