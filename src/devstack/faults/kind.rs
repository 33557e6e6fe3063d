//! The kinds of misbehaviour, and how many nodes are of one.

use std::{fmt, str::FromStr};

/// How a bad node misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fault {
    /// Runs nothing; claims an empty success with the small flat trace of an idle process.
    #[default]
    Idle,
    /// Runs nothing; claims an invented output with constant memory.
    Faker,
    /// Runs nothing; repeats another node's commitment, and its opening when that is out.
    Copycat,
    /// Stops the work at 60 % and delivers what there is.
    Partial,
    /// Does the work, commits and never reveals.
    Silent,
    /// Its node dies when its run starts.
    Crash,
    /// Runs nothing; all colluders claim one invented output and trace.
    Collude,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Idle, Self::Faker, Self::Copycat, Self::Partial, Self::Silent, Self::Crash, Self::Collude];

    /// The name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Faker => "faker",
            Self::Copycat => "copycat",
            Self::Partial => "partial",
            Self::Silent => "silent",
            Self::Crash => "crash",
            Self::Collude => "collude",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many nodes are bad, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BadActors {
    /// How many.
    pub count: usize,
    /// How.
    pub fault: Fault,
}

/// Text that is no number of bad actors, or names no kind of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected N or N:KIND, such as 1 or 2:collude, with a kind of idle, faker, copycat, partial, silent, crash \
     or collude"
)]
pub struct ParseBadActorsError;

impl FromStr for BadActors {
    type Err = ParseBadActorsError;

    fn from_str(text: &str) -> Result<Self, ParseBadActorsError> {
        let (count, kind) = text.split_once(':').unwrap_or((text, Fault::default().name()));
        let fault = Fault::ALL.into_iter().find(|fault| fault.name() == kind).ok_or(ParseBadActorsError)?;
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count = digits.then(|| count.parse().ok()).flatten().ok_or(ParseBadActorsError)?;
        Ok(Self { count, fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_idle_is_the_default() {
        for fault in Fault::ALL {
            assert_eq!(format!("2:{fault}").parse(), Ok(BadActors { count: 2, fault }));
        }
        assert_eq!("1".parse(), Ok(BadActors { count: 1, fault: Fault::Idle }));
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", ":idle", "-1", "1:", "1:liar", "x:idle", "1:idle:2", "+1"] {
            assert_eq!(text.parse::<BadActors>(), Err(ParseBadActorsError), "{text:?}");
        }
    }
}
