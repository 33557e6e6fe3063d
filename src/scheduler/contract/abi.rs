//! The contract's types, calls, events and errors, read from its Solidity interface at compile time.

alloy_sol_types::sol!(
    #[sol(all_derives)]
    "contracts/src/IJobScheduler.sol"
);

pub(super) use IJobScheduler::{IJobSchedulerErrors as Errors, IJobSchedulerEvents as Events};

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::IJobScheduler as abi;
    use crate::{
        domain::{Acceptance, EventKind, FailureKind, JobState, Method},
        rules::Rejection,
    };

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
        assert_same::<abi::EventKind, _>(EventKind::from_index);
        assert_same::<abi::Rejection, _>(Rejection::from_index);
    }
}
