//! What lying costs and gains: whether a node that saves work at a requester's expense loses more than it saves.
//!
//! A lie pays if the saved work is worth more than the average loss: its pay as often as it stays unpaid, half its pay where
//! a job is inconclusive, and its bond as often as that burns. `docs/economics.md` has the inequalities and figures, and a
//! test holds them to this code.
//!
//! ```
//! use assay::{
//!     domain::{Amount, Deal},
//!     policy::economics::{Checks, Liar, prospect},
//! };
//!
//! let ether = Amount::new(1_000_000_000_000_000_000).ok_or("too much")?;
//! let deal = Deal { price: ether, bond: ether, deterministic: true, ..Deal::default() };
//! let idle = prospect(&Checks::of(&deal, false), Liar::Idle);
//! assert_eq!((idle.unpaid_permille, idle.burnt_permille), (1000, 1000));
//! assert_eq!(Some(idle.pays_above), ether.checked_mul(2), "price and bond");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloy_primitives::U256;

use crate::domain::{Amount, Deal, Method};

/// How a node saves work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liar {
    /// Runs nothing, and invents a result.
    Idle,
    /// Stops after three fifths of the work.
    CutShort,
    /// Sends the result of its own earlier run of another job.
    Replayer,
    /// Sends the commitment of another node.
    Copycat,
}

impl Liar {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Idle, Self::CutShort, Self::Replayer, Self::Copycat];

    /// The share of the work that it saves, in permille.
    pub const fn saves_permille(self) -> u16 {
        match self {
            Self::Idle | Self::Replayer | Self::Copycat => 1000,
            Self::CutShort => 400,
        }
    }

    /// A description for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Idle => "runs nothing",
            Self::CutShort => "stops at 60 %",
            Self::Replayer => "replays an old run",
            Self::Copycat => "copies a commitment",
        }
    }
}

/// What can reveal a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Right results agree by their outputs or numbers.
    Outputs,
    /// Right results differ, so traces decide.
    Traces(Method),
}

/// How well a job is protected against lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// The seats of the first wave.
    pub seats: u8,
    /// How many results must agree.
    pub quorum: u8,
    /// What can reveal a lie.
    pub evidence: Evidence,
    /// The chance of a second wave, in permille.
    pub audit_permille: u16,
    /// The seats of the second wave.
    pub audit_seats: u8,
    /// The pay of a seat.
    pub price: Amount,
    /// The bond of a node.
    pub bond: Amount,
    /// Whether a rejected result burns the bond.
    pub burns: bool,
}

impl Checks {
    /// The checks of a deal. Without `seeded`, a deal that compares traces is assumed to need them.
    pub fn of(deal: &Deal, seeded: bool) -> Self {
        let evidence = match deal.method {
            Method::Hash | Method::Near => Evidence::Outputs,
            Method::Ball | Method::KMeans if deal.deterministic || seeded => Evidence::Outputs,
            Method::Ball | Method::KMeans => Evidence::Traces(deal.method),
        };
        Self {
            seats: deal.concurrency,
            quorum: deal.quorum_of(deal.concurrency),
            evidence,
            audit_permille: deal.audit.map_or(0, |audit| audit.permille),
            audit_seats: deal.audit.map_or(0, |audit| audit.seats),
            price: deal.price,
            bond: deal.bond,
            burns: deal.deterministic,
        }
    }
}

/// What a liar among honest nodes can expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prospect {
    /// The share of its pay that it loses on average, in permille.
    pub unpaid_permille: u16,
    /// How often its bond burns, in permille.
    pub burnt_permille: u16,
    /// The average loss.
    pub loses: Amount,
    /// The lie pays if the whole work is worth more than this.
    pub pays_above: Amount,
}

/// The prospect of one liar among honest nodes.
pub fn prospect(checks: &Checks, liar: Liar) -> Prospect {
    let (unpaid_permille, burnt_permille) = match liar {
        // No other node can open a copied commitment. The bond of a seat that does not reveal burns under any terms.
        Liar::Copycat if checks.seats > 1 => (1000, 1000),
        Liar::Idle | Liar::CutShort | Liar::Replayer | Liar::Copycat => caught(checks, liar),
    };
    let share = |amount: Amount, permille: u16| amount.units() * u128::from(permille) / 1000;
    let loses = share(checks.price, unpaid_permille) + share(checks.bond, burnt_permille);
    let pays_above = loses * 1000 / u128::from(liar.saves_permille());
    let amount = |units: u128| Amount::new(units).unwrap_or(Amount::MAX);
    Prospect { unpaid_permille, burnt_permille, loses: amount(loses), pays_above: amount(pays_above) }
}

/// How often, in permille, a liar among honest nodes stays unpaid, and how often it loses its bond.
fn caught(checks: &Checks, liar: Liar) -> (u16, u16) {
    let seen = u32::from(seen_permille(checks.evidence, liar));
    // Honest seats beside the liar's, without and with a second wave.
    let first = outcome(checks.seats, checks.quorum);
    let second = outcome(checks.seats.saturating_add(checks.audit_seats), checks.quorum);
    let audit = u32::from(checks.audit_permille.min(1000));
    let mixed = |cost: &dyn Fn(Caught) -> u32| {
        let by_wave = audit * cost(second) + (1000 - audit) * cost(first);
        u16::try_from(seen * by_wave / 1_000_000).unwrap_or(1000)
    };
    let unpaid = |caught: Caught| match caught {
        Caught::Unseen => 0,
        // An inconclusive job pays half.
        Caught::Undecided => 500,
        Caught::Rejected => 1000,
    };
    let burnt = |caught: Caught| match caught {
        Caught::Rejected if checks.burns => 1000,
        Caught::Unseen | Caught::Undecided | Caught::Rejected => 0,
    };
    (mixed(&unpaid), mixed(&burnt))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Caught {
    /// There is nothing to compare with.
    Unseen,
    /// The results differ, and nobody is blamed.
    Undecided,
    /// The others suffice for a verdict.
    Rejected,
}

/// The fate of one result that differs from all others.
const fn outcome(seats: u8, quorum: u8) -> Caught {
    let others = seats.saturating_sub(1);
    if others == 0 {
        Caught::Unseen
    } else if others > seats / 2 && others >= quorum {
        Caught::Rejected
    } else {
        Caught::Undecided
    }
}

/// How often a difference is noticed at all, in permille. The figures for traces are measured: `docs/verification.md`, the
/// methods without the gate. A test compares the two.
const fn seen_permille(evidence: Evidence, liar: Liar) -> u16 {
    match (evidence, liar) {
        (Evidence::Outputs, _) => 1000,
        (Evidence::Traces(Method::Ball), Liar::Idle | Liar::Copycat) => 10 * BALL_SEES.0,
        (Evidence::Traces(Method::Ball), Liar::CutShort) => 10 * BALL_SEES.1,
        (Evidence::Traces(_), Liar::Idle | Liar::Copycat) => 10 * KMEANS_SEES.0,
        (Evidence::Traces(_), Liar::CutShort) => 10 * KMEANS_SEES.1,
        // Its trace is that of the real work.
        (Evidence::Traces(_), Liar::Replayer) => 0,
    }
}

/// Rejected runs that idled for 10 s, and that stopped at 60 %, in percent.
const BALL_SEES: (u16, u16) = (95, 33);
const KMEANS_SEES: (u16, u16) = (49, 13);

/// How often an owner of `percent` of very many nodes gets a majority of the seats, in millionths. It then lies without
/// risk.
pub fn majority_ppm(seats: u8, percent: u8) -> u32 {
    let (n, own) = (u64::from(seats), U256::from(percent.min(100)));
    let others = U256::from(100) - own;
    let mut choose = U256::from(1);
    let mut sum = U256::ZERO;
    for k in 0..=n {
        if 2 * k > n {
            sum += choose * own.pow(U256::from(k)) * others.pow(U256::from(n - k));
        }
        choose = choose * U256::from(n - k) / U256::from(k + 1);
    }
    // At most 2^31 x 100^31 x 10^6 for the seats of a job: below 2^256.
    let ppm = sum * U256::from(1_000_000) / U256::from(100).pow(U256::from(n));
    u32::try_from(ppm).unwrap_or(1_000_000)
}

#[cfg(test)]
mod tests;
