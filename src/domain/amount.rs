//! Money: whole units of the chain's native coin (wei), at most 96 bits.

use std::{fmt, iter::Sum, num::NonZero};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount of at most 2^96 - 1 units, so that it fits the contract's packed account slot.
///
/// Arithmetic is checked: a sum of amounts that does not fit is `None`, never a wrapped number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// 2^96 - 1 units.
    pub const MAX: Self = Self((1 << 96) - 1);

    /// Wraps a number of units; `None` above [`Self::MAX`].
    pub const fn new(units: u128) -> Option<Self> {
        if units <= Self::MAX.0 { Some(Self(units)) } else { None }
    }

    /// The number of units.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum; `None` above [`Self::MAX`].
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_add(other.0)?)
    }

    /// The difference; `None` below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The larger less the smaller.
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> Self {
        Self(self.0.abs_diff(other.0))
    }

    /// The product; `None` above [`Self::MAX`].
    #[must_use]
    pub fn checked_mul(self, factor: u8) -> Option<Self> {
        Self::new(self.0.checked_mul(factor.into())?)
    }

    /// One of so many equal parts, rounded down.
    #[must_use]
    pub fn divided_by(self, parts: NonZero<u8>) -> Self {
        Self(self.0 / u128::from(parts.get()))
    }
}

impl<'a> Sum<&'a Amount> for Option<Amount> {
    fn sum<I: Iterator<Item = &'a Amount>>(mut amounts: I) -> Self {
        amounts.try_fold(Amount::ZERO, |total, amount| total.checked_add(*amount))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// As decimal text: JSON readers keep no more than 53 bits of a number.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let units = text.parse().map_err(de::Error::custom)?;
        Self::new(units).ok_or_else(|| de::Error::custom("amount exceeds 96 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_bounds() {
        assert_eq!(Amount::new(Amount::MAX.units() + 1), None);
        assert_eq!(Amount::MAX.checked_add(Amount(1)), None);
        assert_eq!(Amount::ZERO.checked_sub(Amount(1)), None);
        assert_eq!(Amount::MAX.checked_mul(2), None);
        assert_eq!([Amount(2), Amount(3)].iter().sum::<Option<Amount>>(), Some(Amount(5)));
    }
}
