//! How a simulated node behaves.

use std::{fmt, str::FromStr};

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// As the protocol says.
    Honest,
    /// Commits and reveals a made-up result.
    Faker,
    /// Takes seats and never commits.
    Absent,
    /// Commits and never reveals.
    Silent,
    /// Commits to what it cannot open.
    Garbler,
    /// Reveals at once, whether commits are closed or not.
    Hasty,
    /// Proposes what it has no right to.
    Meddler,
    /// Submits jobs and answers no bid.
    Mute,
    /// Submits jobs with an audit and keeps the secret of it.
    Withholder,
}

impl Temper {
    /// Bad compute nodes.
    pub const BAD: [Self; 6] =
        [Self::Faker, Self::Absent, Self::Silent, Self::Garbler, Self::Hasty, Self::Meddler];

    /// The name on the command line and in stories.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Faker => "faker",
            Self::Absent => "absent",
            Self::Silent => "silent",
            Self::Garbler => "garbler",
            Self::Hasty => "hasty",
            Self::Meddler => "meddler",
            Self::Mute => "mute",
            Self::Withholder => "withholder",
        }
    }
}

impl fmt::Display for Temper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many compute nodes are bad, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BadNodes {
    /// How many.
    pub count: usize,
    /// How; each in another way if `None`.
    pub temper: Option<Temper>,
}

/// Text that is no number of bad nodes, or names no kind of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected N or N:KIND, such as 1 or 2:faker, with a kind of faker, absent, silent, garbler, hasty or meddler"
)]
pub struct ParseBadNodesError;

impl FromStr for BadNodes {
    type Err = ParseBadNodesError;

    fn from_str(text: &str) -> Result<Self, ParseBadNodesError> {
        let (count, kind) = text.split_once(':').map_or((text, None), |(count, kind)| (count, Some(kind)));
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count = digits.then(|| count.parse().ok()).flatten().ok_or(ParseBadNodesError)?;
        let named = |kind| Temper::BAD.into_iter().find(|temper| temper.name() == kind);
        let temper = kind.map(|kind| named(kind).ok_or(ParseBadNodesError)).transpose()?;
        Ok(Self { count, temper })
    }
}

impl fmt::Display for BadNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.temper {
            Some(temper) => write!(f, "{}:{temper}", self.count),
            None => write!(f, "{}", self.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_kinds_read_back() {
        for temper in Temper::BAD.map(Some).into_iter().chain([None]) {
            let bad = BadNodes { count: 2, temper };
            assert_eq!(bad.to_string().parse(), Ok(bad));
        }
        for text in ["", ":faker", "-1", "1:", "1:honest", "1:mute", "x", "+1"] {
            assert_eq!(text.parse::<BadNodes>(), Err(ParseBadNodesError), "{text:?}");
        }
    }
}
