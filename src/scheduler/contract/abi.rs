//! The contract's types, calls, events and errors, read from its Solidity interface at compile time.

alloy_sol_types::sol!(
    #[sol(all_derives)]
    "contracts/src/IJobScheduler.sol"
);

pub(super) use IJobScheduler::{IJobSchedulerErrors as Errors, IJobSchedulerEvents as Events};

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Debug, fs, path::Path};

    use super::IJobScheduler as abi;
    use crate::{
        domain::{
            Acceptance, AuditStage, BidStatus, Digest, EventKind, FailureKind, JobState, Method, Opening,
            SeatStatus,
        },
        rules::Rejection,
    };

    const INTERFACE: &str = include_str!("../../../contracts/src/IJobScheduler.sol");

    /// Enums that have the same values here and there.
    const SHARED: [&str; 7] =
        ["JobState", "Method", "Acceptance", "FailureKind", "AuditStage", "EventKind", "Rejection"];

    /// Enums of the contract that combine several values of this program: see the tests below.
    const OF_THE_CONTRACT: [&str; 2] = ["BidStatus", "Term"];

    /// The names of both enums, index by index, up to the first index that one of them does not have.
    fn assert_same<S: TryFrom<u8> + Debug, R: Debug>(ours: impl Fn(u8) -> Option<R>) {
        let count = (0..=u8::MAX).take_while(|index| ours(*index).is_some()).count();
        assert!(count > 1, "an enum has values");
        for index in 0..=u8::try_from(count).unwrap() {
            let (theirs, ours) = (S::try_from(index).ok(), ours(index));
            let names = (theirs.map(|value| format!("{value:?}")), ours.map(|value| format!("{value:?}")));
            assert_eq!(names.0, names.1, "index {index}");
        }
    }

    #[test]
    fn enums_of_contract_and_program_have_the_same_values() {
        assert_same::<abi::JobState, _>(|index| JobState::ALL.get(usize::from(index)).copied());
        assert_same::<abi::Method, _>(|index| Method::try_from(index).ok());
        assert_same::<abi::Acceptance, _>(Acceptance::from_index);
        assert_same::<abi::FailureKind, _>(FailureKind::from_index);
        assert_same::<abi::AuditStage, _>(|index| AuditStage::ALL.get(usize::from(index)).copied());
        assert_same::<abi::EventKind, _>(EventKind::from_index);
        assert_same::<abi::Rejection, _>(Rejection::from_index);
    }

    /// What follows `keyword` in the interface, up to the end of the name.
    fn declared(keyword: &str) -> BTreeSet<&'static str> {
        let declarations = INTERFACE.lines().filter_map(|line| line.trim().strip_prefix(keyword));
        let is_name = |c: char| c.is_ascii_alphanumeric();
        declarations.map(|rest| &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]).collect()
    }

    #[test]
    fn no_enum_crosses_the_border_without_being_compared() {
        let known = SHARED.into_iter().chain(OF_THE_CONTRACT).collect();
        assert_eq!(declared("enum "), known, "an enum of the interface is not compared here");
        // Here, what has a number outside this program says so.
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeSet::new();
        for folder in ["domain", "rules", "verdict"] {
            for file in fs::read_dir(source.join(folder)).unwrap() {
                let path = file.unwrap().path();
                let text = if path.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
                let numbered = text.split("#[repr(u8)]").skip(1).map(|rest| {
                    let name = rest.split_once("pub enum ").expect("an enum follows").1;
                    name.split_whitespace().next().expect("an enum has a name").to_owned()
                });
                found.extend(numbered);
            }
        }
        assert_eq!(found, SHARED.map(str::to_owned).into(), "a numbered enum is not compared here");
    }

    #[test]
    fn every_rejection_is_an_error_and_every_kind_an_event_of_the_contract() {
        let errors = declared("error ");
        for rejection in Rejection::ALL {
            // No event can be given another job's id there, no chain needs ticks, and whoever bids pays for its place.
            let cannot_be =
                matches!(rejection, Rejection::WrongJobId | Rejection::NothingDue | Rejection::TooManyBids);
            assert_eq!(errors.contains(&*format!("{rejection:?}")), !cannot_be, "{rejection:?}");
        }
        let events = declared("event ");
        for kind in EventKind::ALL {
            assert_eq!(events.contains(&*format!("{kind:?}")), kind != EventKind::Ticked, "{kind:?}");
        }
    }

    /// The contract has one status for a bid and for the seat that it took.
    fn status(bid: BidStatus, seat: SeatStatus) -> abi::BidStatus {
        match (bid, seat) {
            (BidStatus::Standing, _) => abi::BidStatus::Standing,
            (BidStatus::Withdrawn, _) => abi::BidStatus::Withdrawn,
            (BidStatus::Rejected, _) => abi::BidStatus::Rejected,
            (BidStatus::Skipped, _) => abi::BidStatus::Skipped,
            (BidStatus::Seated(_), SeatStatus::Accepted) => abi::BidStatus::Seated,
            (BidStatus::Seated(_), SeatStatus::Failed(_)) => abi::BidStatus::Failed,
            (BidStatus::Seated(_), SeatStatus::Committed(_) | SeatStatus::Revealed(_)) => {
                abi::BidStatus::Committed
            }
        }
    }

    #[test]
    fn every_status_of_a_bid_there_is_one_here() {
        let (salt, fingerprint) = (Digest::ZERO, crate::domain::FingerprintWord::VOID);
        let summary = crate::domain::SummaryWord::VOID;
        let opening =
            Opening { result_hash: salt, output_root: salt, exit_code: 0, fingerprint, summary, salt };
        let bids = [BidStatus::Standing, BidStatus::Withdrawn, BidStatus::Rejected, BidStatus::Skipped];
        let accepted = bids.map(|bid| (bid, SeatStatus::Accepted));
        let seats = [
            SeatStatus::Accepted,
            SeatStatus::Failed(FailureKind::Timeout),
            SeatStatus::Committed(salt),
            SeatStatus::Revealed(opening),
        ];
        let seated = seats.map(|seat| (BidStatus::Seated(0), seat));
        let here: BTreeSet<u8> =
            accepted.into_iter().chain(seated).map(|(bid, seat)| status(bid, seat) as u8).collect();
        let none = abi::BidStatus::None as u8;
        let there: BTreeSet<u8> =
            (0..=u8::MAX).filter(|index| abi::BidStatus::try_from(*index).is_ok()).collect();
        assert_eq!(here.into_iter().chain([none]).collect::<BTreeSet<u8>>(), there);
    }
}
