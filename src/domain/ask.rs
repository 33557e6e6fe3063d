//! What a node asks for a seat: an amount of its own, or a share of what the job offers.

use std::{fmt, str::FromStr};

use super::Amount;

/// What a node asks for a seat of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// This much of every job; jobs that offer less are left to others.
    Amount(Amount),
    /// So many percent of the job's price, 0 to 100, rounded down.
    Percent(u8),
}

/// Text that is no number from 0 to 100 and a percent sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 0% to 100%")]
pub struct ParsePercentError;

impl Ask {
    /// All that a job offers.
    pub const ALL: Self = Self::Percent(100);

    /// What is asked for a seat of a job that offers `price`; `None` if that is too little.
    pub fn of(self, price: Amount) -> Option<Amount> {
        match self {
            Self::Amount(amount) => (amount <= price).then_some(amount),
            // No more than the price, which is 96 bits: seven more fit.
            Self::Percent(percent) => Amount::new(price.units() * u128::from(percent.min(100)) / 100),
        }
    }

    /// A share as text: a number from 0 to 100 and `%`.
    ///
    /// # Errors
    /// [`ParsePercentError`].
    pub fn percent(text: &str) -> Result<Self, ParsePercentError> {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let percent = digits.and_then(|digits| u8::from_str(digits).ok()).filter(|percent| *percent <= 100);
        percent.map(Self::Percent).ok_or(ParsePercentError)
    }
}

impl Default for Ask {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(amount) => amount.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wei(units: u128) -> Amount {
        Amount::new(units).unwrap()
    }

    #[test]
    fn a_share_follows_the_price_and_an_amount_does_not() {
        assert_eq!(Ask::Percent(80).of(wei(10)), Some(wei(8)));
        assert_eq!(Ask::Percent(80).of(wei(1)), Some(wei(0)), "rounded down");
        assert_eq!(Ask::ALL.of(Amount::MAX), Some(Amount::MAX));
        assert_eq!(Ask::Amount(wei(7)).of(wei(7)), Some(wei(7)));
        assert_eq!(Ask::Amount(wei(7)).of(wei(6)), None);
        assert_eq!(Ask::ALL.of(Amount::ZERO), Some(Amount::ZERO));
    }

    #[test]
    fn a_share_is_a_whole_number_of_percent() {
        assert_eq!(Ask::percent("80%"), Ok(Ask::Percent(80)));
        for bad in ["", "%", "80", "101%", "-1%", "+1%", "0.5%", "256%"] {
            assert_eq!(Ask::percent(bad), Err(ParsePercentError), "{bad:?}");
        }
    }
}
