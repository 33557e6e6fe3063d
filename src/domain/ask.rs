//! What a node asks for a seat: a fixed amount, or a share of the job's price.

use std::{fmt, str::FromStr};

use super::Amount;

/// What a node asks for a seat of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// This amount for every job. The node leaves jobs that offer less.
    Amount(Amount),
    /// This percentage of the job's price, 0 to 100, rounded down.
    Percent(u8),
}

/// The text is not a number from 0 to 100 followed by `%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 0% to 100%")]
pub struct ParsePercentError;

impl Ask {
    /// All that the job offers.
    pub const ALL: Self = Self::Percent(100);

    /// What the node asks for a seat of a job that offers `price`; `None` if the job offers too little.
    pub fn of(self, price: Amount) -> Option<Amount> {
        match self {
            Self::Amount(amount) => (amount <= price).then_some(amount),
            // The quotient is at most the price, which has 96 bits; a percentage adds seven.
            Self::Percent(percent) => Amount::new(price.units() * u128::from(percent.min(100)) / 100),
        }
    }

    /// Reads a share: a number from 0 to 100 followed by `%`.
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
