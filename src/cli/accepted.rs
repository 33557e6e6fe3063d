//! The result that a verdict accepted, for commands to show.

use crate::{
    api::types::{JobView, Judgement, SeatView},
    domain::JobState,
};

/// The accepted seat whose output and exit code stand for the job: the first.
pub(super) fn seat(view: &JobView) -> Option<&SeatView> {
    view.seats.iter().find(|seat| seat.judgement == Some(Judgement::Accepted))
}

/// How the program of a verified job ended, if it did not succeed.
pub(super) fn bad_exit(view: &JobView) -> Option<i32> {
    let result = seat(view).filter(|_| view.state == JobState::Verified)?.result?;
    Some(result.exit_code).filter(|code| *code != 0)
}
