//! The terms of a job: bounds, defaults and the revision.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Amount, Audit, AuditStage, Canonical, JobId, MAX_SEATS, Method, NodeId, Span, SummaryForm};

/// Time that a run may need beyond its timeout before commits close: to pull, start, hash and send.
pub const RUN_MARGIN: Span = Span::from_secs(60);

/// How long a run phase may last beyond two runs before nodes refuse it.
const RUN_SLACK: Span = Span::from_secs(60 * 60);

/// The shortest reveal window.
pub const MIN_REVEAL: Span = Span::from_secs(60);

/// The default time during which a job takes bids. An open job occupies no slot, so it may wait until nodes finish the jobs
/// before it.
const DEFAULT_OPEN: Span = Span::from_secs(60 * 60);

/// The longest duration of any kind: 30 days, so that no money is locked for longer.
pub const MAX_DURATION: Span = Span::from_secs(30 * 24 * 60 * 60);

/// The most nodes in an allow-list.
pub const MAX_ALLOWED: usize = 64;

/// The largest bond, as a multiple of the price.
pub const MAX_BOND_FACTOR: u8 = 10;

/// How far memory and CPU time of agreeing runs may differ where alike work is asked for, in permille, unless somebody says
/// otherwise.
const WORK_PERMILLE: u16 = 500;

/// How bids become seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Acceptance {
    /// The requester chooses among the bids.
    #[default]
    Requester = 0,
    /// A bid takes a free seat at once.
    FirstCome = 1,
}

impl Acceptance {
    /// The variant with this index on the wire.
    pub fn from_index(index: u8) -> Option<Self> {
        [Self::Requester, Self::FirstCome].get(usize::from(index)).copied()
    }
}

/// The terms under which a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Deal {
    /// N: how many nodes run the job, 1..=31.
    pub concurrency: u8,
    /// M: how many runs must agree, 1..=N.
    pub confidence: u8,
    /// Q: how far two traces may differ, in KiB.
    pub tolerance_kib: u32,
    /// How far two traces may differ, in thousandths of their level, 0..=1000.
    pub relative_permille: u16,
    /// How runs with different outputs are compared.
    pub method: Method,
    /// Whether equal work must give equal output. Then outputs alone decide, and a wrong output is slashed.
    pub deterministic: bool,
    /// How bids become seats.
    pub acceptance: Acceptance,
    /// The most that a seat is paid.
    pub price: Amount,
    /// The bond that each node puts at risk, price..=10 x price.
    pub bond: Amount,
    /// The reward for whoever sends the verdict or the expiry.
    pub keeper_fee: Amount,
    /// How long the job takes bids.
    pub open: Span,
    /// How long a run may take, wall time in the container.
    pub timeout: Span,
    /// From the last acceptance to the close of commits; at least timeout + 60 s.
    pub run: Span,
    /// From the close of commits to the end of reveals; at least 60 s.
    pub reveal: Span,
    /// Whether output streams while the job runs. This gives up independence.
    pub live_logs: bool,
    /// The nodes that may bid, ascending and without repetition. Empty allows everyone.
    pub allow_list: Vec<NodeId>,
    /// How much verdicts must have paid a bidder before. A sum, not a number of jobs: jobs without a price cost nothing.
    pub min_paid: Amount,
    /// The most seats of a follow-up of an inconclusive job; 0 for no follow-up.
    pub escalation_limit: u8,
    /// The inconclusive job that this one follows up.
    pub parent: Option<JobId>,
    /// Whether agreeing runs must also have alike memory, CPU time and page faults, so that knowing the answer earns
    /// nothing. With `hash` and `near` only, and never where a wrong output is slashed.
    pub require_work: bool,
    /// How far two CPU times may differ, in thousandths of the larger, 0..=1000. A difference of 200 ms is always allowed.
    pub cpu_permille: u16,
    /// What may differ between the text outputs of right runs.
    pub canonical: Canonical,
    /// How the numbers of an output's summary are compared; with `near` only.
    pub summary: Option<SummaryForm>,
    /// Whether, and how often, a second wave of seats checks the first wave.
    pub audit: Option<Audit>,
}

impl Default for Deal {
    fn default() -> Self {
        let timeout = Span::from_secs(30 * 60);
        Self {
            concurrency: 3,
            confidence: 2,
            tolerance_kib: 1024,
            relative_permille: 300,
            method: Method::Ball,
            deterministic: false,
            acceptance: Acceptance::Requester,
            price: Amount::ZERO,
            bond: Amount::ZERO,
            keeper_fee: Amount::ZERO,
            open: DEFAULT_OPEN,
            timeout,
            run: Self::run_for(timeout),
            reveal: MIN_REVEAL,
            live_logs: false,
            allow_list: Vec::new(),
            min_paid: Amount::ZERO,
            escalation_limit: 0,
            parent: None,
            require_work: false,
            cpu_permille: 333,
            canonical: Canonical::NONE,
            summary: None,
            audit: None,
        }
    }
}

/// A term of a deal that has bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// The number of nodes that run the job.
    Concurrency,
    /// The number of runs that must agree.
    Confidence,
    /// The relative tolerance.
    RelativePermille,
    /// The bond of a node.
    Bond,
    /// The pay for a seat.
    Price,
    /// How long the job takes bids.
    Open,
    /// How long a run may take.
    Timeout,
    /// How long nodes have for their runs.
    Run,
    /// How long nodes have to reveal.
    Reveal,
    /// The nodes that may bid.
    AllowList,
    /// The most seats of a follow-up.
    EscalationLimit,
    /// Whether agreeing runs must have done alike work.
    RequireWork,
    /// How far CPU times may differ.
    CpuPermille,
    /// What may differ between texts.
    Canonical,
    /// How the numbers of a summary are compared.
    Summary,
    /// The second wave of seats.
    Audit,
}

/// A term whose value the rules do not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{term} {problem}")]
pub struct InvalidTerm {
    /// The term.
    pub term: Term,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Deal {
    /// The default time from the last acceptance to the close of commits for a run with this timeout. It is a minute above
    /// the minimum. Most failures happen at the start (image, input, engine), and within that minute another node can take
    /// the seat. A longer default would let a job that nobody can run wait longer.
    pub const fn run_for(timeout: Span) -> Span {
        timeout.plus(RUN_MARGIN).plus(RUN_MARGIN)
    }

    /// The longest run phase that nodes take: room for two runs, since a failed seat may go to another node, and for
    /// delays. A longer one would bind their bonds for no work.
    pub fn longest_run(&self) -> Span {
        self.timeout.plus(self.timeout).plus(RUN_SLACK)
    }

    /// How many of `asked` seats must agree, or reveal, for a verdict: max(M, floor(asked / 2) + 1).
    pub fn quorum_of(&self, asked: u8) -> u8 {
        self.confidence.max(asked / 2 + 1)
    }

    /// The seats of both waves; N without an audit.
    pub fn most_seats(&self) -> u8 {
        self.concurrency.saturating_add(self.audit.map_or(0, |audit| audit.seats))
    }

    /// The seats asked for at this stage of the audit: both waves once the second was drawn, else the first.
    pub fn seats_at(&self, stage: AuditStage) -> u8 {
        match stage {
            AuditStage::None | AuditStage::Undrawn | AuditStage::Spared => self.concurrency,
            AuditStage::Drawn => self.most_seats(),
        }
    }

    /// What a requester locks: the price of the seats of both waves plus the keeper fee. `None` if the sum is above the
    /// largest amount.
    pub fn escrow(&self) -> Option<Amount> {
        self.price.checked_mul(self.most_seats())?.checked_add(self.keeper_fee)
    }

    /// The terms of the follow-up of an inconclusive job. It has one more than twice the seats of both waves, up to the
    /// limit, and no audit, since all its seats are compared. All other terms stay.
    ///
    /// `None` when the deal asks for no follow-up or its limit leaves no room for a larger one.
    pub fn escalated(&self, parent: JobId) -> Option<Self> {
        let seats = self.most_seats();
        let concurrency = seats.checked_mul(2)?.checked_add(1)?.min(self.escalation_limit);
        (concurrency > seats).then(|| Self { concurrency, parent: Some(parent), audit: None, ..self.clone() })
    }

    /// Also asks for alike work, and widens tolerances that are still the usual ones: beside equal outputs traces need to
    /// tell work from no work alone, and the usual ones reject honest runs (`benches/evaluate`).
    pub fn ask_for_work(&mut self) {
        let usual = Self::default();
        self.require_work = true;
        if self.relative_permille == usual.relative_permille {
            self.relative_permille = WORK_PERMILLE;
        }
        if self.cpu_permille == usual.cpu_permille {
            self.cpu_permille = WORK_PERMILLE;
        }
    }

    /// Checks every term.
    ///
    /// # Errors
    /// The first term, in the order of the fields, that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidTerm> {
        let bad = |term, problem: String| Err(InvalidTerm { term, problem });
        if self.concurrency == 0 || self.concurrency > MAX_SEATS {
            return bad(Term::Concurrency, format!("is {}: it must be 1 to {MAX_SEATS}", self.concurrency));
        }
        if self.confidence == 0 || self.confidence > self.concurrency {
            let n = self.concurrency;
            return bad(
                Term::Confidence,
                format!("is {}: it must be 1 to the concurrency, {n}", self.confidence),
            );
        }
        if self.relative_permille > 1000 {
            return bad(
                Term::RelativePermille,
                format!("is {}: it must be 0 to 1000", self.relative_permille),
            );
        }
        let most = self.price.checked_mul(MAX_BOND_FACTOR).unwrap_or(Amount::MAX);
        if self.bond < self.price || self.bond > most {
            return bad(
                Term::Bond,
                format!("is {}: it must be one to {MAX_BOND_FACTOR} times the price", self.bond),
            );
        }
        if self.escrow().is_none() {
            return bad(
                Term::Price,
                "times the concurrency, plus the keeper fee, exceeds 96 bits".to_owned(),
            );
        }
        self.validate_durations()?;
        if self.allow_list.len() > MAX_ALLOWED || !self.allow_list.is_sorted_by(|a, b| a < b) {
            return bad(
                Term::AllowList,
                format!("must be ascending, without repetition, at most {MAX_ALLOWED}"),
            );
        }
        let limit = self.escalation_limit;
        // An audit with too many seats is refused as such.
        let seats = self.most_seats().min(MAX_SEATS);
        if limit != 0 && (limit < seats || limit > MAX_SEATS) {
            return bad(
                Term::EscalationLimit,
                format!("is {limit}: it must be 0, or the seats, {seats}, to {MAX_SEATS}"),
            );
        }
        let compares_outputs = matches!(self.method, Method::Hash | Method::Near) && !self.deterministic;
        if self.require_work && !compares_outputs {
            return bad(
                Term::RequireWork,
                "is for the methods hash and near, without deterministic".to_owned(),
            );
        }
        if self.cpu_permille > 1000 {
            return bad(Term::CpuPermille, format!("is {}: it must be 0 to 1000", self.cpu_permille));
        }
        if !self.canonical.is_valid() {
            return bad(
                Term::Canonical,
                format!("has the bits {}: it must be 0 to 31", self.canonical.bits()),
            );
        }
        match (self.method, self.summary) {
            (Method::Near, None) => bad(Term::Summary, "is missing: the method near compares one".to_owned()),
            (Method::Hash | Method::KMeans | Method::Ball, Some(_)) => {
                bad(Term::Summary, format!("is for the method near, not for {}", self.method))
            }
            (Method::Near, Some(_)) | (Method::Hash | Method::KMeans | Method::Ball, None) => Ok(()),
        }?;
        self.validate_audit()
    }

    fn validate_audit(&self) -> Result<(), InvalidTerm> {
        let Some(audit) = self.audit else { return Ok(()) };
        let bad = |problem| Err(InvalidTerm { term: Term::Audit, problem });
        if audit.permille == 0 || audit.permille > 1000 {
            return bad(format!("has a chance of {} in 1000: it must be 1 to 1000", audit.permille));
        }
        if audit.seats == 0 || audit.seats > MAX_SEATS - self.concurrency {
            let most = MAX_SEATS - self.concurrency;
            return bad(format!("adds {} seats: it must be 1 to {most} beside the others", audit.seats));
        }
        if audit.secret_hash.is_zero() { bad("lacks the hash of its secret".to_owned()) } else { Ok(()) }
    }

    fn validate_durations(&self) -> Result<(), InvalidTerm> {
        let spans = [
            (Term::Open, self.open, Span::from_secs(1)),
            (Term::Timeout, self.timeout, Span::from_secs(1)),
            (Term::Run, self.run, self.timeout.plus(RUN_MARGIN)),
            (Term::Reveal, self.reveal, MIN_REVEAL),
        ];
        for (term, span, least) in spans {
            if span < least || span > MAX_DURATION {
                return Err(InvalidTerm {
                    term,
                    problem: format!("is {span}: it must be {least} to {MAX_DURATION}"),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Concurrency => "concurrency",
            Self::Confidence => "confidence",
            Self::RelativePermille => "relative_permille",
            Self::Bond => "bond",
            Self::Price => "price",
            Self::Open => "open",
            Self::Timeout => "timeout",
            Self::Run => "run",
            Self::Reveal => "reveal",
            Self::AllowList => "allow_list",
            Self::EscalationLimit => "escalation_limit",
            Self::RequireWork => "require_work",
            Self::CpuPermille => "cpu_permille",
            Self::Canonical => "canonical",
            Self::Summary => "summary",
            Self::Audit => "audit",
        })
    }
}

impl fmt::Display for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Requester => "requester",
            Self::FirstCome => "first_come",
        })
    }
}

/// The text is not a tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected MiB with at most three decimals, such as 1 or 0.5, or whole KiB, such as 1500KiB, up to {} MiB", u32::MAX / 1024)]
pub struct ParseToleranceError;

/// A tolerance, as text in MiB, or in KiB where decimals of a MiB cannot say it. Reads MiB rounded down to whole KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToleranceKib(pub u32);

impl fmt::Display for ToleranceKib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = (u64::from(self.0) * 1000).div_ceil(1024);
        let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if text.parse() == Ok(*self) { f.write_str(text) } else { write!(f, "{}KiB", self.0) }
    }
}

impl FromStr for ToleranceKib {
    type Err = ParseToleranceError;

    fn from_str(text: &str) -> Result<Self, ParseToleranceError> {
        if let Some(kib) = text.strip_suffix("KiB") {
            let is_number = !kib.is_empty() && kib.bytes().all(|byte| byte.is_ascii_digit());
            return kib.parse().ok().filter(|_| is_number).map(Self).ok_or(ParseToleranceError);
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty();
        if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
            return Err(ParseToleranceError);
        }
        let whole: u64 = whole.parse().map_err(|_| ParseToleranceError)?;
        let thousandths: u64 = format!("{decimals:0<3}").parse().map_err(|_| ParseToleranceError)?;
        let milli_mib = whole.checked_mul(1000).and_then(|mib| mib.checked_add(thousandths));
        let kib = milli_mib.and_then(|mib| mib.checked_mul(1024)).ok_or(ParseToleranceError)? / 1000;
        u32::try_from(kib).map(Self).map_err(|_| ParseToleranceError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Deal)) -> Term {
        let mut deal = Deal::default();
        change(&mut deal);
        deal.validate().expect_err("the change must be refused").term
    }

    #[test]
    fn the_default_deal_is_valid() {
        assert_eq!(Deal::default().validate(), Ok(()));
        assert_eq!(Deal::default().quorum_of(3), 2);
    }

    #[test]
    fn every_bound_is_checked() {
        let wei = |units| Amount::new(units).unwrap();
        assert_eq!(refused(|deal| deal.concurrency = 0), Term::Concurrency);
        assert_eq!(refused(|deal| deal.concurrency = 32), Term::Concurrency);
        assert_eq!(refused(|deal| deal.confidence = 0), Term::Confidence);
        assert_eq!(refused(|deal| deal.confidence = 4), Term::Confidence);
        assert_eq!(refused(|deal| deal.relative_permille = 1001), Term::RelativePermille);
        assert_eq!(refused(|deal| deal.bond = wei(1)), Term::Bond);
        assert_eq!(refused(|deal| deal.price = wei(1)), Term::Bond);
        assert_eq!(refused(|deal| (deal.price, deal.bond) = (wei(1), wei(11))), Term::Bond);
        assert_eq!(refused(|deal| (deal.price, deal.bond) = (Amount::MAX, Amount::MAX)), Term::Price);
        assert_eq!(refused(|deal| deal.open = Span::from_secs(0)), Term::Open);
        assert_eq!(refused(|deal| deal.run = deal.timeout.plus(Span::from_secs(59))), Term::Run);
        assert_eq!(refused(|deal| deal.reveal = Span::from_secs(59)), Term::Reveal);
        assert_eq!(refused(|deal| deal.reveal = MAX_DURATION.plus(Span::from_secs(1))), Term::Reveal);
        assert_eq!(refused(|deal| deal.allow_list = vec![NodeId::ZERO; 2]), Term::AllowList);
        assert_eq!(refused(|deal| deal.escalation_limit = 2), Term::EscalationLimit);
        assert_eq!(refused(|deal| deal.require_work = true), Term::RequireWork);
        assert_eq!(
            refused(|deal| {
                (deal.method, deal.deterministic, deal.require_work) = (Method::Hash, true, true);
            }),
            Term::RequireWork
        );
        assert_eq!(refused(|deal| deal.cpu_permille = 1001), Term::CpuPermille);
        assert_eq!(refused(|deal| deal.canonical = Canonical::from_bits(32)), Term::Canonical);
        assert_eq!(refused(|deal| deal.method = Method::Near), Term::Summary);
        assert_eq!(refused(|deal| deal.summary = Some(SummaryForm([1; 32]))), Term::Summary);
        let over = Deal { concurrency: 0, ..Deal::default() }.validate().unwrap_err();
        assert_eq!(over.to_string(), "concurrency is 0: it must be 1 to 31");
    }

    #[test]
    fn every_term_changes_the_revision() {
        let changes: [fn(&mut Deal); 23] = [
            |deal| deal.concurrency += 1,
            |deal| deal.confidence += 1,
            |deal| deal.tolerance_kib += 1,
            |deal| deal.relative_permille += 1,
            |deal| deal.method = Method::Hash,
            |deal| deal.deterministic = true,
            |deal| deal.acceptance = Acceptance::FirstCome,
            |deal| deal.price = Amount::MAX,
            |deal| deal.bond = Amount::MAX,
            |deal| deal.keeper_fee = Amount::MAX,
            |deal| deal.open = Span::from_secs(7),
            |deal| deal.timeout = Span::from_secs(7),
            |deal| deal.run = Span::from_secs(7),
            |deal| deal.reveal = Span::from_secs(7),
            |deal| deal.live_logs = true,
            |deal| deal.allow_list.push(NodeId::ZERO),
            |deal| deal.min_paid = Amount::MAX,
            |deal| deal.escalation_limit += 1,
            |deal| deal.parent = Some(JobId::new([1; 32])),
            |deal| deal.require_work = true,
            |deal| deal.cpu_permille += 1,
            |deal| deal.canonical = Canonical::from_bits(1),
            |deal| deal.summary = Some(SummaryForm([1; 32])),
        ];
        let mut revisions = std::collections::BTreeSet::from([Deal::default().revision()]);
        for change in changes {
            let mut deal = Deal::default();
            change(&mut deal);
            assert!(revisions.insert(deal.revision()), "{deal:?}");
        }
    }

    #[test]
    fn a_tolerance_is_rounded_down_to_whole_kib() {
        let kib = |text: &str| text.parse::<ToleranceKib>().map(|tolerance| tolerance.0);
        assert_eq!(kib("1"), Ok(1024));
        assert_eq!(kib("0.5"), Ok(512));
        assert_eq!(kib("0.001"), Ok(1));
        assert_eq!(kib("1.999"), Ok(2046));
        assert_eq!(kib("0"), Ok(0));
        assert_eq!(kib("4194303.999"), Ok(u32::MAX - 1));
        assert_eq!((kib("1025KiB"), kib("4294967295KiB")), (Ok(1025), Ok(u32::MAX)));
        for bad in ["", "-1", "1.", ".5", "1.0001", "1e3", "NaN", "4194304", "99999999999999999999", "+1"]
            .into_iter()
            .chain(["KiB", "+1KiB", "1.5KiB", "4294967296KiB", "1 KiB", "1kib"])
        {
            assert_eq!(kib(bad), Err(ParseToleranceError), "{bad}");
        }
        let text = |kib| ToleranceKib(kib).to_string();
        assert_eq!([text(1024), text(512), text(1025), text(0)], ["1", "0.5", "1.001", "0"]);
    }

    #[test]
    fn a_follow_up_has_more_seats_up_to_the_limit() {
        let seats = |n, limit| {
            let deal = Deal { concurrency: n, escalation_limit: limit, ..Deal::default() };
            deal.escalated(JobId::ZERO).map(|deal| deal.concurrency)
        };
        assert_eq!(seats(3, 31), Some(7));
        assert_eq!(seats(3, 5), Some(5));
        assert_eq!(seats(31, 31), None);
        assert_eq!(seats(3, 0), None);
    }
}
