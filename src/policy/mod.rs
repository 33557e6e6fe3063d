//! What each role decides: pure functions from a job and the time to the next step.
