//! The words of a verdict: why each seat stands as it does. The values are `rules::reasons_of`.

use super::types::Judgement;
use crate::{
    domain::{Job, JobState, Seat, SeatStatus},
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
            compared(&Figures::of(job, held), reason, judgement) + empty
        }
    }
}

/// What the rows of a job count by.
struct Figures {
    /// How many nodes were asked.
    asked: u8,
    /// How many must agree.
    needed: u8,
    /// Whether there is a majority to speak of.
    is_decided: bool,
    /// The exit code that this seat states, and how many state the same.
    exit_code: i32,
    same_exit_code: usize,
}

impl Figures {
    fn of(job: &Job, held: &Seat) -> Self {
        let stated = |seat: &Seat| match seat.status {
            SeatStatus::Revealed(opening) => Some(opening.exit_code),
            SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
        };
        let exit_code = stated(held);
        Self {
            asked: job.asked(),
            needed: job.quorum(),
            is_decided: job.state == JobState::Verified,
            exit_code: exit_code.unwrap_or_default(),
            same_exit_code: job.seats.iter().filter(|seat| stated(seat) == exit_code).count(),
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

fn compared(figures: &Figures, reason: &Reason, judgement: Option<Judgement>) -> String {
    let rejected = judgement == Some(Judgement::Rejected);
    let output = || output(figures, reason);
    let work = || reason.work.as_ref().map_or("its run was too short to be measured".to_owned(), measured);
    match reason.rule {
        Rule::Alone => "the only run: compared with nothing".to_owned(),
        Rule::ExitCode => {
            let Figures { asked, exit_code, same_exit_code, .. } = figures;
            format!(
                "its exit code is {exit_code}; {same_exit_code} of {asked} nodes state it, {} needed",
                asked / 2 + 1
            )
        }
        Rule::Outputs | Rule::Near => output() + &shown(reason),
        Rule::OutputsAndWork | Rule::NearAndWork => format!("{}; {}", output(), work()),
        Rule::Ball | Rule::Kmeans if reason.work.is_none() => work(),
        Rule::Ball if rejected => format!("unlike the majority: {}", work()),
        Rule::Ball if judgement == Some(Judgement::Accepted) => format!("like the majority: {}", work()),
        Rule::Ball => format!("beside the most alike runs: {}", work()),
        Rule::Kmeans => beside_the_mean(figures, reason.work.as_ref()),
    }
}

/// How its output compares, by equality or by its numbers. Without a verdict there is no majority to name.
fn output(figures: &Figures, reason: &Reason) -> String {
    let Figures { asked, needed, is_decided, .. } = figures;
    let alike = reason.alike;
    let is_near = matches!(reason.rule, Rule::Near | Rule::NearAndWork);
    let others = if *is_decided { "majority" } else { "largest set" };
    let bar = if is_near && !is_decided {
        format!("; {needed} of {asked} nodes must agree")
    } else {
        String::new()
    };
    let said = match reason.number_steps {
        Some(0) if is_near => format!("its output or its numbers are those of the {others}"),
        Some(0) => format!("its output equals that of {alike} of {asked} nodes, {needed} needed"),
        Some(steps) => format!(
            "its numbers are up to {} % of their tolerance away from the {others}'s, 100 % allowed",
            u64::from(steps).saturating_mul(100).div_ceil(64)
        ),
        None if is_near => {
            format!("its output differs from the {others}'s, and it has no numbers to compare")
        }
        None if !is_decided => {
            format!("its output equals that of {alike} of {asked} nodes, {needed} needed")
        }
        None => format!(
            "its output differs from the majority's; {alike} of {asked} nodes have it, {needed} needed"
        ),
    };
    said + &bar
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

fn beside_the_mean(figures: &Figures, work: Option<&Work>) -> String {
    let those = if figures.is_decided { "those that agree" } else { "all that were measured" };
    work.map_or(String::new(), |work| {
        format!(
            "memory {} from the mean of {those}; {} or more splits off",
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
