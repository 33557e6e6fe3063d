//! What one check found, and what to do about it.

use std::error::Error;

use serde::Serialize;

use crate::explain::{Hint, one_line};

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The name of the check.
    pub(super) check: &'static str,
    pub(super) state: State,
    /// What was seen.
    pub(super) found: String,
    /// What to do about it; null if there is nothing to do.
    pub(super) hint: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It works.
    Ok,
    /// It works, but not for everything.
    Warn,
    /// It does not work.
    Fail,
    /// There was nothing to look at.
    Skip,
}

impl State {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), hint: None }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Warn, found: found.into(), hint: Some(hint.into()) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, hint: Option<String>) -> Self {
        Self { check, state: State::Fail, found: found.into(), hint }
    }

    pub(super) fn skip(check: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Skip, found: found.into(), hint: Some(hint.into()) }
    }

    /// A failure, in the words of its error.
    pub(super) fn error<E: Error + Hint>(check: &'static str, error: &E) -> Self {
        Self::fail(check, one_line(error), error.hint())
    }
}
