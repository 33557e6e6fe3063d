//! What every part of the evaluation shares: dice, minorities, and the count of what verdicts did.

use assay::domain::{Fingerprint, FingerprintWord, Method, Profile};
use assay::verdict::{Decision, Outcome};

pub(super) const TOLERANCE_KIB: u32 = 1024;
pub(super) const RELATIVE_PERMILLE: u16 = 300;

/// SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ x >> 31) % bound as u64).expect("a remainder is below its divisor")
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number between two powers of two, each doubling as likely as any other.
    pub(super) fn doubling(&mut self, from: u32, to: u32) -> u32 {
        let power = from + u32::try_from(self.below((to - from) as usize)).expect("below 32");
        let low = 1 << power;
        low + u32::try_from(self.below(low as usize)).expect("below 2^32")
    }

    /// `count` of the runs, each once before any comes twice.
    pub(super) fn deal<T: Clone>(&mut self, runs: &[T], count: usize) -> Vec<T> {
        let mut dealt = Vec::new();
        let mut deck = Vec::new();
        while dealt.len() < count {
            if deck.is_empty() {
                deck = runs.to_vec();
            }
            dealt.push(deck.swap_remove(self.below(deck.len())));
        }
        dealt
    }
}

/// What is left of a fingerprint in the word that nodes reveal.
pub(super) fn packed(fingerprint: &Fingerprint, method: Method) -> Profile {
    let word = FingerprintWord::pack(fingerprint, method);
    word.unpack().ok().flatten().expect("a packed fingerprint is one")
}

/// How many of `nodes` are bad: one, half of the largest minority, and all of it.
pub(super) fn minorities(nodes: usize) -> Vec<usize> {
    let most = (nodes - 1) / 2;
    let mut minorities = vec![1, most.div_ceil(2), most];
    minorities.dedup();
    minorities
}

/// What verdicts did with good and bad runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) jobs: usize,
    pub(super) undecided: usize,
    pub(super) bad: usize,
    pub(super) bad_accepted: usize,
    pub(super) bad_rejected: usize,
    /// Honest runs in jobs with a verdict.
    pub(super) judged: usize,
    pub(super) honest_rejected: usize,
}

impl Tally {
    /// Of one job, in which the first `honest` of the runs are good.
    pub(super) fn of(outcome: &Outcome, honest: usize, bad: usize) -> Self {
        if outcome.decision == Decision::Inconclusive {
            return Self { jobs: 1, undecided: 1, bad, ..Self::default() };
        }
        let count =
            |seats: &[usize], is_bad: bool| seats.iter().filter(|seat| (**seat >= honest) == is_bad).count();
        Self {
            jobs: 1,
            undecided: 0,
            bad,
            judged: honest,
            honest_rejected: count(&outcome.rejected, false),
            bad_rejected: count(&outcome.rejected, true),
            bad_accepted: count(&outcome.accepted, true),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            jobs: self.jobs + other.jobs,
            undecided: self.undecided + other.undecided,
            bad: self.bad + other.bad,
            bad_accepted: self.bad_accepted + other.bad_accepted,
            bad_rejected: self.bad_rejected + other.bad_rejected,
            judged: self.judged + other.judged,
            honest_rejected: self.honest_rejected + other.honest_rejected,
        }
    }

    pub(super) fn recall(self) -> f64 {
        percent(self.bad_rejected, self.bad)
    }

    pub(super) fn accepted(self) -> f64 {
        percent(self.bad_accepted, self.bad)
    }

    pub(super) fn precision(self) -> f64 {
        percent(self.bad_rejected, self.bad_rejected + self.honest_rejected)
    }

    pub(super) fn honest_rejected(self) -> f64 {
        percent(self.honest_rejected, self.judged)
    }

    pub(super) fn undecided(self) -> f64 {
        percent(self.undecided, self.jobs)
    }

    /// `honest rejected / no verdict`, of jobs without a bad node.
    pub(super) fn without_bad(self) -> String {
        format!("{:.1} / {:.1}", self.honest_rejected(), self.undecided())
    }
}

/// Zero where there is nothing to take a share of.
pub(super) fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// The sum of those that are wanted.
pub(super) fn sum<'a, K: 'a>(
    tallies: impl IntoIterator<Item = (&'a K, &'a Tally)>,
    is_wanted: impl Fn(&K) -> bool,
) -> Tally {
    let wanted = tallies.into_iter().filter(|(key, _)| is_wanted(key));
    wanted.map(|(_, tally)| *tally).fold(Tally::default(), Tally::plus)
}

/// A table as `docs/verification.md` has it.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | ")).replace("|  |", "| |");
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = format!("|{}", "---|".repeat(head.len()));
    [line(&head), rule]
        .into_iter()
        .chain(rows.into_iter().map(|row| line(&row)))
        .collect::<Vec<_>>()
        .join("\n")
}
