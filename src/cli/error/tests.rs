use super::*;

#[test]
fn a_job_without_a_result_says_how_it_ended() {
    let said = |state| {
        let error = CliError::NoResult { job: JobId::ZERO, state };
        assert!(error.hint().is_some());
        error.to_string()
    };
    assert_eq!(said(JobState::Failed), "job 00000000 failed: no result was accepted");
    assert_eq!(said(JobState::Running), "job 00000000 is not decided yet");
    assert_eq!(said(JobState::Cancelled), "job 00000000 was cancelled: it has no result");
}
