//! Seats: an accepted node's place in a job, numbered from 0.

use serde::{Deserialize, Serialize};

/// The most seats of a job on any backend, so that a verdict's bitmap fits a small word on a chain.
pub const MAX_SEATS: u8 = 31;

/// A set of seats, bit `i` for seat `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct SeatSet(u32);

impl SeatSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Wraps a bitmap; bit `i` is seat `i`.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bitmap.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether `seat` is in the set.
    pub const fn contains(self, seat: u8) -> bool {
        seat < 32 && self.0 & (1 << seat) != 0
    }

    /// This set and `seat`; seats above 31 do not exist and change nothing.
    #[must_use]
    pub const fn with(self, seat: u8) -> Self {
        if seat < 32 { Self(self.0 | 1 << seat) } else { self }
    }

    /// This set without `seat`.
    #[must_use]
    pub const fn without(self, seat: u8) -> Self {
        if seat < 32 { Self(self.0 & !(1 << seat)) } else { self }
    }

    /// How many seats are in the set.
    pub fn len(self) -> u8 {
        u8::try_from(self.0.count_ones()).expect("a word of 32 bits has at most 32 ones")
    }

    /// Whether no seat is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lowest seat.
    pub fn first(self) -> Option<u8> {
        self.iter().next()
    }

    /// The seats, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |seat| self.contains(*seat))
    }
}

impl FromIterator<u8> for SeatSet {
    fn from_iter<I: IntoIterator<Item = u8>>(seats: I) -> Self {
        seats.into_iter().fold(Self::EMPTY, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: SeatSet = [3, 0, 31].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 31]);
        assert_eq!((set.len(), set.first(), set.bits()), (3, Some(0), 1 << 31 | 0b1001));
        assert_eq!(set.without(3).iter().collect::<Vec<_>>(), [0, 31]);
        assert_eq!(set.with(32), set);
        assert!(!set.contains(200));
    }
}
