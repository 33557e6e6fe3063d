//! The exit codes, in one table.

use std::process::ExitCode;

/// The exit codes, as `--help` and `docs/cli.md` show them.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  any   the program's own exit code, if its job was accepted; otherwise 0 for success
    2   the command line is wrong, or names something impossible or unknown
  120   no node could take the job
  121   no result to keep: rejected, inconclusive or failed
  122   a deadline passed; of serve: the grace passed, and the node still owes something in a job
  123   the job was cancelled or stopped
  124   the node, or the backend behind it, cannot be reached
  125   any other error
  126   a transaction was sent, but its outcome is unknown; the message has its hash
  130   interrupted; the job goes on
With --output json, the document shows the program's exit code and the job's state separately.";

/// The end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Success.
    Success,
    /// A job was accepted, and its program ended with this code.
    Program(u8),
    /// The command line is wrong, or names something impossible or unknown.
    Usage,
    /// No node could take the job.
    NoNode,
    /// There is no result to keep.
    NoResult,
    /// A deadline passed, or the time to settle what a node owes.
    Deadline,
    /// The job was cancelled or stopped.
    Cancelled,
    /// The node or its backend cannot be reached.
    Unreachable,
    /// Any other error.
    Failure,
    /// A transaction was sent, but its outcome is unknown.
    Unknown,
    /// The user interrupted the command.
    Interrupted,
}

impl ExitStatus {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Program(code) => code,
            Self::Usage => 2,
            Self::NoNode => 120,
            Self::NoResult => 121,
            Self::Deadline => 122,
            Self::Cancelled => 123,
            Self::Unreachable => 124,
            Self::Failure => 125,
            Self::Unknown => 126,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_table() {
        let own = [
            ExitStatus::Usage,
            ExitStatus::NoNode,
            ExitStatus::NoResult,
            ExitStatus::Deadline,
            ExitStatus::Cancelled,
            ExitStatus::Unreachable,
            ExitStatus::Failure,
            ExitStatus::Unknown,
            ExitStatus::Interrupted,
        ];
        for status in own {
            let line = format!("{:>5}   ", status.code());
            assert!(EXIT_CODES.lines().any(|found| found.starts_with(&line)), "{status:?}");
        }
    }
}
