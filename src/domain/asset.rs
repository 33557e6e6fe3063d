//! What money is counted in: ether, or one ERC-20 token; and sums as people write and read them.
//!
//! Which asset it is a contract says once and for all. A token says of itself what it is called, so its word is bounded
//! and held to a few characters before anybody sees it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Amount, NodeId};

/// The units of ether, by their decimals.
const ETHER_UNITS: [(&str, u8); 3] = [("wei", 0), ("gwei", 9), ("ether", 18)];

/// The longest symbol of a token.
const MAX_SYMBOL_BYTES: usize = 16;

/// The asset of one deployment of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asset {
    /// The chain's own coin, which also pays for gas.
    #[default]
    Ether,
    /// An ERC-20.
    Token(Token),
}

/// A token, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Token {
    /// Its contract.
    pub address: NodeId,
    /// What sums in it are called; `None` if it says nothing that could stand behind a number.
    pub symbol: Option<String>,
    /// How many decimals one of it has.
    pub decimals: u8,
}

impl Token {
    /// A token of this address that says this of itself.
    pub fn new(address: NodeId, symbol: &str, decimals: u8) -> Self {
        Self { address, symbol: is_symbol(symbol).then(|| symbol.to_owned()), decimals }
    }
}

/// A word that can stand behind a number: not a digit first, nothing that a terminal would take for more than a character,
/// and no unit of ether, which it is not.
fn is_symbol(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+$".contains(&byte);
    let is_ether = ETHER_UNITS.iter().any(|(unit, _)| unit.eq_ignore_ascii_case(text));
    text.len() <= MAX_SYMBOL_BYTES
        && text.bytes().all(is_plain)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'$')
        && !is_ether
}

impl Asset {
    /// Whether this is the chain's own coin.
    pub const fn is_ether(&self) -> bool {
        matches!(self, Self::Ether)
    }

    /// The token's contract; `None` is ether.
    pub const fn token(&self) -> Option<NodeId> {
        match self {
            Self::Ether => None,
            Self::Token(token) => Some(token.address),
        }
    }

    /// A sum, to the last unit, in the unit that makes it readable.
    pub fn show(&self, amount: Amount) -> String {
        let units = amount.units();
        match self {
            Self::Ether => {
                let (unit, decimals) = match units {
                    0..1_000_000 => ETHER_UNITS[0],
                    1_000_000..1_000_000_000_000_000 => ETHER_UNITS[1],
                    _ => ETHER_UNITS[2],
                };
                format!("{} {unit}", decimal(units, decimals))
            }
            Self::Token(Token { symbol: Some(symbol), decimals, .. }) => {
                format!("{} {symbol}", decimal(units, *decimals))
            }
            Self::Token(Token { address, symbol: None, .. }) => {
                format!("{units} units of 0x{}", address.short())
            }
        }
    }

    /// The decimals of a unit of this asset, whatever its letters' case.
    fn decimals_of(&self, unit: &str) -> Option<u8> {
        match self {
            Self::Ether => ETHER_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, decimals)| *decimals),
            Self::Token(Token { symbol, decimals, .. }) => {
                symbol.as_ref().is_some_and(|symbol| symbol.eq_ignore_ascii_case(unit)).then_some(*decimals)
            }
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ether => f.write_str("ether"),
            Self::Token(Token { address, symbol: Some(symbol), decimals }) => {
                write!(f, "{symbol} (the token {address}, {decimals} decimals)")
            }
            Self::Token(Token { address, symbol: None, .. }) => {
                write!(f, "the token {address}, in its smallest units")
            }
        }
    }
}

/// `units` with a point before the last `decimals` digits, without zeros at the end.
fn decimal(units: u128, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!("{units:0>width$}", width = decimals + 1);
    let (whole, rest) = digits.split_at(digits.len() - decimals);
    match rest.trim_end_matches('0') {
        "" => whole.to_owned(),
        rest => format!("{whole}.{rest}"),
    }
}

/// A sum as somebody wrote it, such as `5gwei`, `1.5usdc` or, in the smallest units, `7`. What it is worth depends on the
/// asset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sum {
    number: String,
    /// Empty for the smallest unit of whatever asset it is.
    unit: String,
}

/// The text is no sum in any asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an amount such as 5gwei, 0.1ether or 1.5usdc")]
pub struct ParseSumError;

/// Why a sum is no amount of an asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// It is in another asset.
    #[error("{sum} is not in the asset of this deployment, which is {asset}")]
    OtherAsset {
        /// The sum.
        sum: Sum,
        /// What the deployment takes.
        asset: Asset,
    },
    /// It has more decimals than the asset, or is more than an account can hold.
    #[error("{sum} has more decimals than its unit, or exceeds 96 bits in the smallest unit of {asset}")]
    NoAmount {
        /// The sum.
        sum: Sum,
        /// What it is an amount of.
        asset: Asset,
    },
}

impl Sum {
    /// Whether it is so many of the smallest units, whatever the asset.
    pub fn is_bare(&self) -> bool {
        self.unit.is_empty()
    }

    /// Its unit as it was written; empty for the smallest of whatever asset it is.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Whether its unit is one of ether.
    pub fn is_ether(&self) -> bool {
        Asset::Ether.decimals_of(&self.unit).is_some()
    }

    /// How much it is in an asset.
    ///
    /// # Errors
    /// [`SumError`].
    pub fn of(&self, asset: &Asset) -> Result<Amount, SumError> {
        let decimals = if self.is_bare() { Some(0) } else { asset.decimals_of(&self.unit) };
        let Some(decimals) = decimals else {
            return Err(SumError::OtherAsset { sum: self.clone(), asset: asset.clone() });
        };
        self.units(decimals).ok_or_else(|| SumError::NoAmount { sum: self.clone(), asset: asset.clone() })
    }

    fn units(&self, decimals: u8) -> Option<Amount> {
        let (ones, rest) = self.number.split_once('.').unwrap_or((&self.number, ""));
        let rest = rest.trim_end_matches('0');
        let zeros = usize::from(decimals).checked_sub(rest.len())?;
        let digits = format!("{ones}{rest}{}", "0".repeat(zeros));
        // Zeros in front fit no smaller number: without them, too long is too much.
        match digits.trim_start_matches('0') {
            "" => Some(Amount::ZERO),
            digits => digits.parse().ok().and_then(Amount::new),
        }
    }
}

impl FromStr for Sum {
    type Err = ParseSumError;

    fn from_str(text: &str) -> Result<Self, ParseSumError> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = match number.split_once('.') {
            Some((ones, rest)) => is_digits(ones) && is_digits(rest),
            None => is_digits(number),
        };
        let is_unit = unit.is_empty() || is_symbol(unit) || Asset::Ether.decimals_of(unit).is_some();
        if !is_number || !is_unit {
            return Err(ParseSumError);
        }
        Ok(Self { number: number.to_owned(), unit: unit.to_owned() })
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(units: u128) -> Amount {
        Amount::new(units).unwrap()
    }

    fn token(symbol: &str, decimals: u8) -> Asset {
        Asset::Token(Token::new(NodeId::new([7; 20]), symbol, decimals))
    }

    fn sum(text: &str) -> Sum {
        text.parse().unwrap()
    }

    #[test]
    fn sums_are_exact_in_a_readable_unit() {
        for (units, shown) in [
            (0, "0 wei"),
            (999_999, "999999 wei"),
            (1_000_000, "0.001 gwei"),
            (5_000_000_000, "5 gwei"),
            (1_000_000_000_000_000, "0.001 ether"),
            (10_000_000_000_000_000_000, "10 ether"),
            (1_000_000_000_000_000_001, "1.000000000000000001 ether"),
        ] {
            assert_eq!(Asset::Ether.show(amount(units)), shown);
        }
        let usdc = token("USDC", 6);
        assert_eq!(usdc.show(amount(1_500_000)), "1.5 USDC");
        assert_eq!(usdc.show(amount(1)), "0.000001 USDC");
        assert_eq!(usdc.show(Amount::ZERO), "0 USDC");
        assert_eq!(token("GUSD", 0).show(amount(7)), "7 GUSD");
        assert!(token("odd", 255).show(amount(7)).ends_with("7 odd"));
        assert_eq!(token("\u{1b}[2J", 6).show(amount(7)), "7 units of 0x07070707");
    }

    #[test]
    fn a_symbol_is_a_word_that_is_no_unit_of_ether() {
        for good in ["USDC", "USD.e", "sDAI", "$PAY", "a", "ABCDEFGHIJKLMNOP", "USD+", "crv-2"] {
            assert!(is_symbol(good), "{good:?}");
        }
        let bad = [
            "",
            "ether",
            "Ether",
            "WEI",
            "gwei",
            "1inch",
            "a b",
            "a\n",
            "\u{202e}cdsu",
            "ABCDEFGHIJKLMNOPQ",
            "₮",
        ];
        for bad in bad {
            assert!(!is_symbol(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_sum_is_worth_what_its_unit_says() {
        let usdc = token("USDC", 6);
        assert_eq!(sum("1.5usdc").of(&usdc), Ok(amount(1_500_000)));
        assert_eq!(sum("2USDC").of(&usdc), Ok(amount(2_000_000)));
        assert_eq!(sum("0.1ether").of(&Asset::Ether), Ok(amount(100_000_000_000_000_000)));
        assert_eq!((sum("7").of(&usdc), sum("1.0").of(&Asset::Ether)), (Ok(amount(7)), Ok(amount(1))));
        assert_eq!(sum("0.0000010usdc").of(&usdc), Ok(amount(1)));
        assert_eq!(sum("0").of(&token("odd", 255)), Ok(Amount::ZERO));
        for none in ["0.0000001usdc", "99999999999999999999999usdc", "1.5"] {
            assert!(matches!(sum(none).of(&usdc), Err(SumError::NoAmount { .. })), "{none}");
        }
        assert!(matches!(sum("1odd").of(&token("odd", 255)), Err(SumError::NoAmount { .. })));
    }

    #[test]
    fn a_sum_in_another_asset_is_refused_and_told_which_is_right() {
        let usdc = token("USDC", 6);
        let said = |text: &str, asset: &Asset| sum(text).of(asset).unwrap_err().to_string();
        assert_eq!(
            said("1ether", &usdc),
            format!(
                "1ether is not in the asset of this deployment, which is USDC (the token {}, 6 decimals)",
                NodeId::new([7; 20])
            )
        );
        assert_eq!(
            said("1.5usdc", &Asset::Ether),
            "1.5usdc is not in the asset of this deployment, which is ether"
        );
        assert!(said("1usdc", &token("", 6)).ends_with("in its smallest units"));
    }

    #[test]
    fn what_is_no_number_with_a_word_is_no_sum() {
        let bad = [
            "",
            "ether",
            "-1",
            "1.ether",
            ".5ether",
            "1..5gwei",
            "1.-5gwei",
            "1 gwei",
            "1.5.5usdc",
            "1us dc",
            "1\u{1b}",
        ];
        for bad in bad {
            assert_eq!(bad.parse::<Sum>(), Err(ParseSumError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(units in 0..=Amount::MAX.units(), decimals in 0..60_u8) {
            for asset in [Asset::Ether, token("USDC", decimals)] {
                let shown = asset.show(amount(units)).replace(' ', "");
                prop_assert_eq!(sum(&shown).of(&asset), Ok(amount(units)), "{}", shown);
            }
        }

        #[test]
        fn no_text_of_a_token_is_shown_but_plain_words(symbol in any::<String>(), decimals: u8) {
            let shown = token(&symbol, decimals).show(amount(5));
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            prop_assert!(shown.len() < 300);
        }
    }
}
