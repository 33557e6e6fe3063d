//! `assay doctor`: what of this machine, the user's node and the chain works, and what to do about the rest.
//!
//! Nothing is changed and no key is opened. `machine`, `chain` and `node` look; what they conclude from what they saw is in
//! pure functions.

mod chain;
mod finding;
mod machine;
mod node;

use serde::Serialize;

use crate::cli::{
    CliError, ExitStatus,
    args::DoctorArgs,
    document::Document,
    output::{Output, printable},
};
use finding::{Finding, State};

/// All that was looked at, as JSON.
#[derive(Debug, Serialize)]
struct Findings {
    findings: Vec<Finding>,
    /// The exit code of this command.
    exit_code: u8,
}

impl Document for Findings {}

/// Looks at everything, and shows each finding.
pub(in crate::cli) async fn run(args: &DoctorArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (machine, endpoints, node) = tokio::join!(
        machine::look(args),
        chain::endpoints(&args.chain.rpc.rpc_url),
        node::look(&args.api, output)
    );
    let mut findings = machine;
    findings.extend(node.findings());
    findings.extend(chain::findings(args, &endpoints).await);
    findings.push(chain::clock(&endpoints, node.among_peers()));
    let status = exit_status(&findings);
    let findings = Findings { findings, exit_code: status.code() };
    output.result(&findings, || sheet(&findings.findings))?;
    Ok(status)
}

fn exit_status(findings: &[Finding]) -> ExitStatus {
    let fails = findings.iter().any(|finding| finding.state == State::Fail);
    if fails { ExitStatus::Failure } else { ExitStatus::Success }
}

/// One line for each finding, and its hint below.
fn sheet(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let lines = findings.iter().map(|Finding { check, state, found, hint }| {
        let hint = hint.as_ref().map(|hint| format!("      {:<width$}  hint: {}\n", "", printable(hint)));
        format!("{:<4}  {check:<width$}  {}\n{}", state.text(), printable(found), hint.unwrap_or_default())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_is_an_error_and_its_hint_stands_below_it() {
        let mut findings =
            vec![Finding::ok("engine", "it answers"), Finding::warn("anvil", "there is none", "install it")];
        assert_eq!(exit_status(&findings), ExitStatus::Success);
        assert_eq!(
            sheet(&findings),
            "ok    engine  it answers\nwarn  anvil   there is none\n              hint: install it\n"
        );
        findings.push(Finding::fail("disk", "it is full", Some("make room".to_owned())));
        assert_eq!(exit_status(&findings), ExitStatus::Failure);
    }
}
