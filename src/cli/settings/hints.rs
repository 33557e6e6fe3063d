//! The problem with terms and specs, and the remedy, in terms of the command line.

use super::SettingsError;
use crate::{
    domain::{InvalidTerm, SpecError, SpecField, SumError, Term},
    explain::Hint,
};

impl Hint for SettingsError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Term(InvalidTerm { term, .. }) => return Some(term_hint(*term)),
            Self::Spec(error) => return spec_hint(error),
            Self::Sum(SumError::OtherAsset { .. }) => {
                "give the amount in that asset; a number without a unit counts its smallest units"
            }
            Self::Sum(SumError::NoAmount { .. }) => "give fewer decimals, or less",
            Self::Environment(error) => return error.hint(),
            Self::Exposed(error) => return error.hint(),
            Self::OpenFirstCome => {
                "name the nodes that may bid with --allow, or accept the risk with --first-come open"
            }
            Self::FirstComeUnused => "leave it out, or choose --acceptance first-come",
            Self::NothingToUpdate => "name one, such as --timeout 10m; see assay job update --help",
            Self::NoList => {
                "choose json or yaml, or use a list: job list, node list, node earnings or results list"
            }
            Self::JobName { .. } => "give the id of a job or a unique prefix of it; see assay job list",
            Self::WholeJob { .. } => "give all 64 hex digits; assay job list --output json shows them",
            Self::Api { .. } => "give a host and a port, such as http://127.0.0.1:7421",
            Self::NoContract { .. } => {
                "give --rpc-url and --contract, or set ASSAY_RPC_URL and ASSAY_CONTRACT; to try it, assay devstack \
                 --scheduler contract starts a chain and prints both"
            }
            Self::NoFollowUp | Self::NoMemory => {
                "start one with assay serve --scheduler contract --slots 0, and submit with --api"
            }
            Self::NoChain | Self::NoConsumers => "add --scheduler contract, or leave it out",
            Self::TwoNodes | Self::UrlsAndNone => "leave one of them out",
            Self::RemoteEngine { .. } => {
                "Assay measures memory on this machine: set DOCKER_HOST to unix:// and a local socket, or unset it"
            }
            Self::NearDeterministic => "leave one of them out: with --summary, equal outputs agree too",
            Self::SummaryFileUnused => {
                "add --summary with how each number is compared; assay job calibrate proposes it"
            }
            Self::NoAudit => "add --audit with its chance in thousandths, such as --audit 100",
            Self::BadNodes { .. } => "ask for more --nodes, or fewer --bad-actors",
            Self::NodeCount { .. } => "choose another number for --nodes",
            Self::NoSweep => "add --count or --matrix, or leave it out",
            Self::SweepVariable { .. } => {
                "give the variable another name; SWEEP_GROUP and SWEEP_INDEX are those of the sweep"
            }
            Self::SweepSize { .. } => "divide it into several sweeps",
            Self::GroupName { .. } => {
                "give the id of a group or a unique prefix of it, as job submit prints it"
            }
            Self::NoDataDir => "set one of them, or pass --data-dir if the command has it",
        };
        Some(hint.to_owned())
    }
}

/// How to mend a term of the deal.
fn term_hint(term: Term) -> String {
    let hint = match term {
        Term::Concurrency => "choose how many nodes run the job with --concurrency, such as 3",
        Term::Confidence => "lower --confidence, or raise --concurrency",
        Term::RelativePermille => "choose a --relative-permille of 0 to 1000",
        Term::Open | Term::Timeout | Term::Reveal => return format!("choose another --{term}"),
        Term::Run => "raise --run or lower --timeout; the default of --run is the timeout plus 2m",
        Term::AllowList => "name fewer nodes with --allow",
        Term::Price => "lower --price or --keeper-fee",
        Term::Bond => "choose a --bond from the price to ten times the price",
        Term::EscalationLimit => "choose an --escalate from the concurrency up to 31",
        Term::RequireWork => "add --method hash or near, and leave out --deterministic",
        Term::CpuPermille => "choose a --cpu-permille of 0 to 1000",
        Term::Canonical => "choose among --canonical times,uuids,hosts,pids,sorted-lines",
        Term::Audit => {
            "choose an --audit of 1 to 1000, and --audit-seats that with --concurrency are at most 31"
        }
        Term::Summary => "give --summary with --method near, such as --summary rel:10ppm,exact",
    };
    hint.to_owned()
}

/// The problem with a spec, in terms of the command line.
pub(super) fn spec_problem(error: &SpecError) -> String {
    let SpecError::Invalid { field, problem } = error else { return error.to_string() };
    let name = match *field {
        SpecField::Image => "IMAGE",
        SpecField::Environment => "--env",
        SpecField::WorkingDirectory => "--workdir",
        SpecField::Inputs => "its inputs",
        SpecField::TextFiles => "--text-file",
        SpecField::SummaryFile => "--summary-file",
        SpecField::ScratchDir => "--scratch",
        SpecField::Platform => "--platform",
        SpecField::MemoryBytes => "--memory",
        SpecField::Resources => "--memory, --cpus, --pids, --disk and --tmp",
        SpecField::Command => "command",
    };
    format!("{name} {problem}")
}

fn spec_hint(error: &SpecError) -> Option<String> {
    let hint = match error {
        SpecError::TooLong { .. } => "give long arguments and variables as a file, with --input",
        SpecError::Malformed { .. } | SpecError::NotCanonical => return None,
        SpecError::Invalid { field, .. } => match *field {
            SpecField::Image => "give an image by name and tag, such as alpine:3",
            SpecField::Environment => "give variables as --env NAME=VALUE, where no NAME begins with ASSAY_",
            SpecField::WorkingDirectory => "give a directory of the container, such as --workdir /inputs",
            SpecField::TextFiles => "name files by their paths in /outputs, such as --text-file report.txt",
            SpecField::SummaryFile => {
                "name the file by its path in /outputs, such as --summary-file fit/numbers"
            }
            SpecField::ScratchDir => {
                "give a directory outside /outputs, /tmp and the inputs, such as --scratch 6g:/build"
            }
            SpecField::Platform => "name it as images do, such as --platform linux/amd64",
            SpecField::Inputs => {
                "give each input its own target, outside /outputs and /tmp, such as --input data:/inputs/data"
            }
            SpecField::MemoryBytes => "give --memory a unit, such as 512m or 2g; without one it is in bytes",
            SpecField::Resources => "leave them out to use the defaults; see assay job submit --help",
            SpecField::Command => return None,
        },
    };
    Some(hint.to_owned())
}
