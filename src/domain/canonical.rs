//! What may differ between the text outputs of right runs: a term of the deal.

use std::{fmt, str::FromStr};

use super::text::json_as_text;

/// What a node masks or sorts in text before it hashes the text: a set, as bits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Canonical(u8);

/// One kind of text that may differ between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Dates, times of day and durations.
    Times = 1,
    /// Random identifiers in the form of RFC 9562 (UUIDs).
    Uuids = 2,
    /// Host names and container ids.
    Hosts = 4,
    /// Process ids.
    Pids = 8,
    /// The order of lines.
    SortedLines = 16,
}

/// The text names none of the masks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown kind of text `{found}`: expected some of `times,uuids,hosts,pids,sorted-lines`, apart by commas"
)]
pub struct UnknownMask {
    /// The unknown name.
    pub found: String,
}

impl Mask {
    /// Every mask, in the order of the bits.
    pub const ALL: [Self; 5] = [Self::Times, Self::Uuids, Self::Hosts, Self::Pids, Self::SortedLines];

    /// Its name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Times => "times",
            Self::Uuids => "uuids",
            Self::Hosts => "hosts",
            Self::Pids => "pids",
            Self::SortedLines => "sorted-lines",
        }
    }
}

impl Canonical {
    /// The empty set: nothing may differ.
    pub const NONE: Self = Self(0);

    /// The set with these bits. Does not check them; see [`Self::is_valid`].
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The set as bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every set bit is a [`Mask`].
    pub const fn is_valid(self) -> bool {
        self.0 < 32
    }

    /// Whether `mask` is in the set.
    pub const fn contains(self, mask: Mask) -> bool {
        self.0 & mask as u8 != 0
    }

    /// Whether the set is empty, so that nothing may differ.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_valid() {
            return write!(f, "{}", self.0);
        }
        let names: Vec<&str> =
            Mask::ALL.into_iter().filter(|mask| self.contains(*mask)).map(Mask::name).collect();
        f.pad(&names.join(","))
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canonical({self})")
    }
}

impl FromStr for Canonical {
    type Err = UnknownMask;

    fn from_str(text: &str) -> Result<Self, UnknownMask> {
        if let Ok(bits) = text.parse() {
            return Ok(Self(bits));
        }
        let mut names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.try_fold(Self::NONE, |set, name| {
            let mask = Mask::ALL.into_iter().find(|mask| mask.name() == name);
            let mask = mask.ok_or_else(|| UnknownMask { found: name.chars().take(80).collect() })?;
            Ok(Self(set.0 | mask as u8))
        })
    }
}

json_as_text!(Canonical);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_reads_back_from_its_text() {
        for bits in 0..=u8::MAX {
            let set = Canonical::from_bits(bits);
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert_eq!("times,sorted-lines".parse(), Ok(Canonical::from_bits(17)));
        assert!("time".parse::<Canonical>().is_err());
    }
}
