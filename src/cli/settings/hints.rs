//! The problem with terms and specs, and the remedy, in terms of the command line.

use crate::domain::{SpecError, SpecField, Term};

/// How to mend a term of the deal.
pub(super) fn term(term: Term) -> String {
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
        SpecField::MemoryBytes => "--memory",
        SpecField::Resources => "--memory, --cpus, --pids and --disk",
        SpecField::Command => "command",
    };
    format!("{name} {problem}")
}

pub(super) fn spec(error: &SpecError) -> Option<String> {
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
