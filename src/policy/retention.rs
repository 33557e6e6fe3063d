//! What a node may delete: content and logs of jobs that ended, by age and by bytes.
//!
//! Content of a job that can still change never goes. A result that others may still come for stays a day after its job
//! ended, whatever the operator says: fetching it is what the requester paid for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{Digest, JobId, Span, Timestamp};

/// How long a result of another's job stays at least after its job ended.
pub const OWED: Span = Span::from_secs(24 * 60 * 60);

/// How long all content stays at least: an upload needs time to become the input of a job.
pub const AT_LEAST: Span = Span::from_secs(60 * 60);

/// For how long a node keeps what ended jobs left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Results that this node computed for others.
    pub results: Span,
    /// Results of this node's own jobs.
    pub own: Span,
    /// Inputs, and uploads that no job names.
    pub inputs: Span,
    /// Logs. A log stays at least as long as any content of its job.
    pub logs: Span,
    /// The most bytes of content of ended jobs; the oldest goes first.
    pub bytes: u64,
}

impl Default for Keep {
    fn default() -> Self {
        const DAY: u32 = 24 * 60 * 60;
        Self {
            results: Span::from_secs(7 * DAY),
            own: Span::from_secs(30 * DAY),
            inputs: Span::from_secs(DAY),
            logs: Span::from_secs(180 * DAY),
            bytes: 8 << 30,
        }
    }
}

/// What content is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "node", schema(as = ContentKind))]
pub enum Kind {
    /// A job that can still change needs it.
    Live,
    /// A result of this node's own job.
    OwnResult,
    /// A result that this node computed for another.
    Result,
    /// An input of an ended job.
    Input,
    /// No job names it.
    Unused,
}

impl Kind {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::OwnResult => "own_result",
            Self::Result => "result",
            Self::Input => "input",
            Self::Unused => "unused",
        }
    }
}

/// One use of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// By a job that can still change.
    Live,
    /// By a job that ended.
    Ended {
        /// As what: [`Kind::OwnResult`], [`Kind::Result`] or [`Kind::Input`].
        kind: Kind,
        /// When the job ended.
        at: Timestamp,
    },
}

/// Content on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// When it was stored last.
    pub since: Timestamp,
    /// Who needs it.
    pub uses: Vec<Use>,
}

/// Why content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "node", schema(as = PruneReason))]
pub enum Why {
    /// It was kept for as long as the operator says.
    Age,
    /// Content of ended jobs takes more bytes than the operator gives it.
    Bytes,
}

impl Stored {
    /// What it is: the use for which it stays longest.
    pub fn kind(&self, keep: &Keep) -> Kind {
        let until = |one: &Use| match *one {
            Use::Live => None,
            Use::Ended { kind, .. } => Some((keep.until(kind, self.begins(one)), kind)),
        };
        let uses: Option<Vec<_>> = self.uses.iter().map(until).collect();
        match uses {
            None => Kind::Live,
            Some(uses) => uses.into_iter().max().map_or(Kind::Unused, |(_, kind)| kind),
        }
    }

    /// When it may go; `None` while a job needs it.
    pub fn until(&self, keep: &Keep) -> Option<Timestamp> {
        self.latest(Kind::Unused, |kind, begins| keep.until(kind, begins))
    }

    /// Before when it may not go even for want of room; `None` while a job needs it.
    fn owed_until(&self) -> Option<Timestamp> {
        self.latest(Kind::Unused, |kind, begins| begins.plus(owed(kind)))
    }

    fn latest(&self, otherwise: Kind, of: impl Fn(Kind, Timestamp) -> Timestamp) -> Option<Timestamp> {
        let mut latest = of(otherwise, self.since);
        if !self.uses.is_empty() {
            latest = Timestamp::ZERO;
        }
        for one in &self.uses {
            match one {
                Use::Live => return None,
                Use::Ended { kind, .. } => latest = latest.max(of(*kind, self.begins(one))),
            }
        }
        Some(latest)
    }

    /// The later of its storing and the end of the job.
    fn begins(&self, one: &Use) -> Timestamp {
        match one {
            Use::Live => self.since,
            Use::Ended { at, .. } => self.since.max(*at),
        }
    }
}

impl Keep {
    fn until(&self, kind: Kind, begins: Timestamp) -> Timestamp {
        let span = match kind {
            Kind::Live | Kind::OwnResult => self.own,
            Kind::Result => self.results,
            Kind::Input | Kind::Unused => self.inputs,
        };
        begins.plus(span.max(owed(kind)))
    }

    /// When the log of a job that ended then may go.
    pub fn log_until(&self, ended_at: Timestamp) -> Timestamp {
        ended_at.plus(self.logs.max(self.results).max(self.own).max(self.inputs).max(OWED))
    }

    /// Jobs that ended before this time have logs that may go.
    pub fn logs_before(&self, now: Timestamp) -> Timestamp {
        now.minus(self.log_until(Timestamp::ZERO).since(Timestamp::ZERO))
    }
}

const fn owed(kind: Kind) -> Span {
    match kind {
        Kind::Live | Kind::Result => OWED,
        Kind::OwnResult | Kind::Input | Kind::Unused => AT_LEAST,
    }
}

/// The content that goes now, and why, by digest.
pub fn due(stored: &[Stored], keep: &Keep, now: Timestamp) -> BTreeMap<Digest, Why> {
    let mut due = BTreeMap::new();
    let (mut rest, mut bytes) = (Vec::new(), 0_u64);
    for content in stored {
        match (content.until(keep), content.owed_until()) {
            (Some(until), _) if until <= now => {
                due.insert(content.digest, Why::Age);
            }
            (Some(until), Some(owed)) => {
                bytes = bytes.saturating_add(content.bytes);
                if owed <= now {
                    rest.push((until, content.digest, content.bytes));
                }
            }
            (None, _) | (_, None) => {}
        }
    }
    // What would go first by age goes first for want of room.
    rest.sort_unstable();
    for (_, digest, length) in rest {
        if bytes <= keep.bytes {
            break;
        }
        bytes -= length;
        due.insert(digest, Why::Bytes);
    }
    due
}

/// Whether a user may have a job forgotten now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgettable {
    /// It may go.
    Yes,
    /// Its requester may still come for this node's result until then.
    Owed(Timestamp),
}

/// Whether an ended job may be forgotten although its time has not come. `owes_result` says whether this node computed a
/// result of it for another.
pub fn may_forget(ended_at: Timestamp, owes_result: bool, now: Timestamp) -> Forgettable {
    let until = ended_at.plus(OWED);
    if owes_result && now < until { Forgettable::Owed(until) } else { Forgettable::Yes }
}

/// The content of which `jobs` are the only users, so that it can go with them.
pub fn only_of<'a>(
    jobs: &BTreeSet<JobId>,
    uses: impl IntoIterator<Item = (&'a Digest, &'a BTreeSet<JobId>)>,
) -> Vec<Digest> {
    let of_these = |users: &BTreeSet<JobId>| !users.is_empty() && users.is_subset(jobs);
    uses.into_iter().filter(|(_, users)| of_these(users)).map(|(digest, _)| *digest).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000_000 + secs)
    }

    fn ended(kind: Kind, secs: u64) -> Use {
        Use::Ended { kind, at: at(secs) }
    }

    fn stored(id: u8, bytes: u64, uses: &[Use]) -> Stored {
        Stored { digest: Digest::new([id; 32]), bytes, since: at(0), uses: uses.to_vec() }
    }

    fn gone(stored: &[Stored], keep: &Keep, now: Timestamp) -> Vec<(u8, Why)> {
        due(stored, keep, now).into_iter().map(|(digest, why)| (digest.as_bytes()[0], why)).collect()
    }

    #[test]
    fn each_kind_goes_at_its_own_age() {
        let all = [
            stored(1, 1, &[ended(Kind::Result, 0)]),
            stored(2, 1, &[ended(Kind::OwnResult, 0)]),
            stored(3, 1, &[ended(Kind::Input, 0)]),
            stored(4, 1, &[]),
            stored(5, 1, &[Use::Live]),
        ];
        let keep = Keep::default();
        let at_day =
            |day: u64| gone(&all, &keep, at(day * DAY)).iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!(at_day(0), [0; 0]);
        assert_eq!(at_day(1), [3, 4]);
        assert_eq!(at_day(7), [1, 3, 4]);
        assert_eq!(at_day(10_000), [1, 2, 3, 4], "a job that can change needs the fifth");
        let kinds = all.each_ref().map(|content| content.kind(&keep));
        assert_eq!(kinds, [Kind::Result, Kind::OwnResult, Kind::Input, Kind::Unused, Kind::Live]);
    }

    #[test]
    fn content_stays_for_the_use_that_needs_it_longest() {
        let keep = Keep::default();
        let shared = stored(1, 1, &[ended(Kind::Input, 0), ended(Kind::Result, 2)]);
        assert_eq!(shared.until(&keep), Some(at(7 * DAY + 2)));
        assert_eq!(shared.kind(&keep), Kind::Result);
        let live = stored(1, 1, &[ended(Kind::Input, 0), Use::Live]);
        assert_eq!((live.until(&keep), live.kind(&keep)), (None, Kind::Live));
        // Fetched long after the job ended.
        let late = Stored { since: at(5 * DAY), ..stored(1, 1, &[ended(Kind::OwnResult, 0)]) };
        assert_eq!(late.until(&keep), Some(at(35 * DAY)));
    }

    #[test]
    fn an_operator_who_keeps_nothing_keeps_what_is_owed() {
        let nothing = Keep {
            results: Span::from_secs(0),
            own: Span::from_secs(0),
            inputs: Span::from_secs(0),
            logs: Span::from_secs(0),
            bytes: 0,
        };
        let all = [
            stored(1, 1, &[ended(Kind::Result, 0)]),
            stored(2, 1, &[ended(Kind::OwnResult, 0)]),
            stored(3, 1, &[]),
        ];
        assert_eq!(gone(&all, &nothing, at(AT_LEAST.as_secs().into())), [(2, Why::Age), (3, Why::Age)]);
        assert_eq!(gone(&all, &nothing, at(DAY)).len(), 3);
        assert_eq!(nothing.log_until(at(0)), at(DAY));
        assert_eq!(nothing.logs_before(at(DAY)), at(0));
    }

    #[test]
    fn the_oldest_goes_first_for_want_of_room_and_no_more_than_that() {
        let keep = Keep { bytes: 100, ..Keep::default() };
        let all = [
            stored(1, 60, &[ended(Kind::Result, 50)]),
            stored(2, 60, &[ended(Kind::Result, 20)]),
            stored(3, 60, &[ended(Kind::Result, 10)]),
            stored(4, 1000, &[Use::Live]),
        ];
        assert_eq!(gone(&all, &keep, at(DAY + 9)), [], "all are owed to their requesters");
        assert_eq!(gone(&all, &keep, at(DAY + 10)), [(3, Why::Bytes)]);
        assert_eq!(gone(&all, &keep, at(DAY + 60)), [(2, Why::Bytes), (3, Why::Bytes)]);
    }

    #[test]
    fn a_job_is_forgotten_on_demand_once_its_result_is_not_owed() {
        assert_eq!(may_forget(at(0), false, at(0)), Forgettable::Yes);
        assert_eq!(may_forget(at(0), true, at(DAY - 1)), Forgettable::Owed(at(DAY)));
        assert_eq!(may_forget(at(0), true, at(DAY)), Forgettable::Yes);
        let (a, b) = (JobId::new([1; 32]), JobId::new([2; 32]));
        let uses = [
            (Digest::new([1; 32]), BTreeSet::from([a])),
            (Digest::new([2; 32]), BTreeSet::from([a, b])),
            (Digest::new([3; 32]), BTreeSet::new()),
        ];
        let uses = uses.iter().map(|(digest, users)| (digest, users));
        assert_eq!(only_of(&BTreeSet::from([a]), uses), [Digest::new([1; 32])]);
    }

    fn any_use() -> impl Strategy<Value = Use> {
        let kind = prop_oneof![Just(Kind::Result), Just(Kind::OwnResult), Just(Kind::Input)];
        prop_oneof![1 => Just(Use::Live), 3 => (kind, 0..40 * DAY).prop_map(|(kind, secs)| ended(kind, secs))]
    }

    proptest! {
        /// Whatever the operator says and whenever it runs, nothing owed goes, and room is made where it may be.
        #[test]
        fn nothing_that_is_needed_or_owed_goes(
            all in prop::collection::vec((0..1000_u64, prop::collection::vec(any_use(), 0..3)), 0..20),
            (spans, bytes, now) in ([0..50 * 24 * 60 * 60_u32, 0..50 * 24 * 60 * 60, 0..50 * 24 * 60 * 60], 0..5000_u64, 0..60 * DAY),
        ) {
            let [results, own, inputs] = spans.map(Span::from_secs);
            let keep = Keep { results, own, inputs, logs: Span::from_secs(0), bytes };
            let all: Vec<Stored> =
                (0..).zip(all).map(|(id, (bytes, uses))| stored(id, bytes, &uses)).collect();
            let now = at(now);
            let due = due(&all, &keep, now);
            let mut left = 0;
            let mut is_bound = false;
            for content in &all {
                let is_gone = due.contains_key(&content.digest);
                prop_assert!(!is_gone || content.owed_until().is_some_and(|owed| owed <= now));
                prop_assert!(is_gone || content.until(&keep).is_none_or(|until| until > now));
                if !is_gone && content.until(&keep).is_some() {
                    left += content.bytes;
                    is_bound |= content.owed_until().is_some_and(|owed| owed > now);
                }
            }
            prop_assert!(left <= bytes || is_bound);
        }
    }
}
