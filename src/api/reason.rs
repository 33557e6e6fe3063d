//! The words of a verdict: why each seat stands as it does. The values are `rules::reasons_of`.

use super::types::Judgement;
use crate::{
    domain::{Job, Seat, SeatStatus},
    explain::bytes,
    rules::{SeatReason, owes_first_wave},
    store::empty_result_hash,
    verdict::{Cpu, Reason, Rule, Work},
};

/// Why a seat of a job that ended stands as it does.
pub(super) fn words(job: &Job, held: &Seat, reason: &SeatReason, judgement: Option<Judgement>) -> String {
    match reason {
        SeatReason::NotCommitted => "it never committed to a result".to_owned(),
        SeatReason::Failed(kind) => format!("its run gave no result: {kind}"),
        SeatReason::NotRevealed if owes_first_wave(job) => {
            "it committed to a result, which the requester let nobody compare; it is paid".to_owned()
        }
        SeatReason::NotRevealed => "it committed to a result and did not reveal it".to_owned(),
        SeatReason::Copied { of } => {
            let original = job.seat(*of).map_or("another node".to_owned(), |held| held.node.short());
            format!("its commitment is a copy of {original}'s")
        }
        SeatReason::NotCompared => "the terms of the verdict compare nothing".to_owned(),
        SeatReason::Compared(reason) => {
            let empty =
                if is_empty(job, held) { "; the output is empty: anybody could have guessed it" } else { "" };
            compared((job.asked(), job.quorum()), reason, judgement) + empty
        }
    }
}

/// Whether the run printed nothing and left no file in `/outputs`.
fn is_empty(job: &Job, held: &Seat) -> bool {
    match held.status {
        SeatStatus::Revealed(opening) => opening.result_hash == empty_result_hash(job.id, opening.exit_code),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => false,
    }
}

/// `seats`: how many were asked, and how many must agree.
fn compared(seats: (u8, u8), reason: &Reason, judgement: Option<Judgement>) -> String {
    let rejected = judgement == Some(Judgement::Rejected);
    let output = || output(seats, reason);
    let work = || reason.work.as_ref().map_or("its run was too short to be measured".to_owned(), measured);
    match reason.rule {
        Rule::Alone => "the only run: compared with nothing".to_owned(),
        Rule::ExitCode => "it states another exit code than most".to_owned(),
        Rule::Outputs | Rule::Near => output() + &shown(reason),
        Rule::OutputsAndWork | Rule::NearAndWork => format!("{}; {}", output(), work()),
        Rule::Ball | Rule::Kmeans if reason.work.is_none() => work(),
        Rule::Ball if rejected => format!("unlike the majority: {}", work()),
        Rule::Ball if judgement == Some(Judgement::Accepted) => format!("like the majority: {}", work()),
        Rule::Ball => format!("beside the most alike runs: {}", work()),
        Rule::Kmeans => beside_the_mean(reason.work.as_ref()),
    }
}

/// How its output compares, by equality or by its numbers.
fn output((asked, needed): (u8, u8), reason: &Reason) -> String {
    let alike = reason.alike;
    let is_near = matches!(reason.rule, Rule::Near | Rule::NearAndWork);
    match reason.number_steps {
        Some(0) if is_near => "its output or its numbers are those of the majority".to_owned(),
        Some(0) => format!("its output equals that of {alike} of {asked} nodes, {needed} needed"),
        Some(steps) => format!(
            "its numbers are up to {} % of their tolerance away from the majority's, 100 % allowed",
            u64::from(steps).saturating_mul(100).div_ceil(64)
        ),
        None if is_near => {
            "its output differs from the majority's, and it has no numbers to compare".to_owned()
        }
        None => format!(
            "its output differs from the majority's; {alike} of {asked} nodes have it, {needed} needed"
        ),
    }
}

/// A trace that differs where outputs decided.
fn shown(reason: &Reason) -> String {
    match &reason.work {
        Some(work) if !work.agrees => format!("; not counted: {}", measured(work)),
        Some(_) | None => String::new(),
    }
}

fn measured(work: &Work) -> String {
    let cpu = work.cpu.as_ref().map_or(String::new(), |cpu| format!("; CPU {}", cpu_words(cpu)));
    let faults = work.faults.as_ref().map_or(String::new(), |faults| {
        format!("; page faults {}, {} to {} allowed", faults.count, faults.least, faults.most)
    });
    format!("{}{cpu}{faults}", memory(work))
}

fn memory(work: &Work) -> String {
    let limit = kib(work.memory_limit_kib);
    if work.memory_apart_kib <= work.memory_limit_kib {
        format!("memory within {limit}")
    } else {
        format!("memory {} apart, {limit} allowed", kib(work.memory_apart_kib))
    }
}

fn cpu_words(cpu: &Cpu) -> String {
    match cpu.most_ms {
        Some(most) => format!("{} ms, {} to {most} allowed", cpu.ms, cpu.least_ms),
        None => format!("{} ms, {} or more allowed", cpu.ms, cpu.least_ms),
    }
}

fn beside_the_mean(work: Option<&Work>) -> String {
    work.map_or(String::new(), |work| {
        format!(
            "memory {} from the mean of those that agree; {} or more splits off",
            kib(work.memory_apart_kib),
            kib(work.memory_limit_kib)
        )
    })
}

fn kib(kib: u64) -> String {
    bytes(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests;
