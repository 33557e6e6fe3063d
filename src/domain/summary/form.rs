//! How the numbers of a summary are compared: a term of the deal.

use std::{fmt, str::FromStr};

use alloy_primitives::{U256, hex};

use super::{LANE_BITS, MAX_NUMBERS, decimal::Decimal};
use crate::domain::text::json_as_text;

/// The ten kinds in 256 bits, big endian: kind k in bits 25k to 25k + 24, zero where there is no number.
///
/// The top two bits of a kind are 1 for a relative tolerance, 2 for an absolute one, and 0 or 3 for `exact`. A relative
/// tolerance is in the low 23 bits, in parts per million. An absolute one is a mantissa in bits 0 to 9 and, in bits 10 to
/// 16, the power of ten plus 64. Every word has a meaning, so no log can hold a word that readers refuse.
/// [`SummaryForm::new`] makes the one word that this program writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SummaryForm(pub [u8; 32]);

/// How one number of a summary is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The numbers must have the same text.
    Exact,
    /// At most this many parts in a million apart, 1 to 1,000,000, and with the same sign.
    Relative {
        /// Parts per million.
        ppm: u32,
    },
    /// At most this far apart.
    Absolute(Tolerance),
}

/// An absolute tolerance: mantissa x 10^exponent, with at most three significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    mantissa: u16,
    exponent: i8,
}

/// The text is not a form of a summary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a kind of number: expected `exact`, `rel:PPMppm` with 1 to 1000000 parts per million, or `abs:TOLERANCE` with at most three significant digits; at most {MAX_NUMBERS}, separated by commas"
)]
pub struct ParseFormError {
    /// The part that could not be read.
    pub found: String,
}

const KIND_BITS: u32 = (1 << LANE_BITS) - 1;
const VALUE_BITS: u32 = 23;
const RELATIVE: u32 = 1;
const ABSOLUTE: u32 = 2;
/// Exact has no value, but a zero kind means no number.
const EXACT: u32 = 1;
const MAX_PPM: u32 = 1_000_000;
const MAX_MANTISSA: u16 = 999;
const EXPONENT_BIAS: i8 = 64;

impl Tolerance {
    /// `None` if a tolerance cannot be that large. A power of ten that is too small becomes the least one.
    pub(super) fn new(mantissa: u16, exponent: i32) -> Option<Self> {
        let Ok(exponent) = i8::try_from(exponent.max(-i32::from(EXPONENT_BIAS))) else { return None };
        let is_small = (1..=MAX_MANTISSA).contains(&mantissa) && exponent < EXPONENT_BIAS;
        is_small.then_some(Self { mantissa, exponent })
    }

    pub(super) fn size(self) -> super::Size {
        Decimal::new(self.mantissa, self.exponent.into()).size()
    }
}

impl Kind {
    /// The kind in the low 25 bits; `None` for zero.
    fn from_bits(bits: u32) -> Option<Self> {
        let value = bits & ((1 << VALUE_BITS) - 1);
        match bits >> VALUE_BITS {
            _ if bits == 0 => None,
            RELATIVE => Some(Self::Relative { ppm: value.clamp(1, MAX_PPM) }),
            ABSOLUTE => {
                let mantissa = u16::try_from(value & 0x3ff).unwrap_or(u16::MAX).clamp(1, MAX_MANTISSA);
                let biased = i8::try_from(value >> 10 & 0x7f).unwrap_or(i8::MAX);
                Some(Self::Absolute(Tolerance { mantissa, exponent: biased - EXPONENT_BIAS }))
            }
            _ => Some(Self::Exact),
        }
    }

    fn to_bits(self) -> u32 {
        match self {
            Self::Exact => EXACT,
            Self::Relative { ppm } => RELATIVE << VALUE_BITS | ppm.clamp(1, MAX_PPM),
            Self::Absolute(Tolerance { mantissa, exponent }) => {
                let biased = (exponent + EXPONENT_BIAS).unsigned_abs();
                ABSOLUTE << VALUE_BITS | u32::from(biased) << 10 | u32::from(mantissa)
            }
        }
    }
}

impl SummaryForm {
    /// The form with these kinds; `None` for no kinds and for more than [`MAX_NUMBERS`].
    pub fn new(kinds: &[Kind]) -> Option<Self> {
        if kinds.is_empty() || kinds.len() > MAX_NUMBERS {
            return None;
        }
        let word = kinds
            .iter()
            .enumerate()
            .fold(U256::ZERO, |word, (k, kind)| word | U256::from(kind.to_bits()) << (LANE_BITS * k));
        Some(Self(word.to_be_bytes()))
    }

    /// The kinds of the numbers, in order.
    pub fn kinds(self) -> Vec<Kind> {
        let word = U256::from_be_bytes(self.0);
        let bits = |k: usize| ((word >> (LANE_BITS * k)) & U256::from(KIND_BITS)).to();
        (0..MAX_NUMBERS).filter_map(|k| Kind::from_bits(bits(k))).collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Relative { ppm } => write!(f, "rel:{ppm}ppm"),
            Self::Absolute(tolerance) => write!(f, "abs:{tolerance}"),
        }
    }
}

impl FromStr for Kind {
    type Err = ParseFormError;

    fn from_str(text: &str) -> Result<Self, ParseFormError> {
        let relative = |ppm: &str| {
            let ppm = ppm.strip_suffix("ppm")?.parse().ok()?;
            (1..=MAX_PPM).contains(&ppm).then_some(Self::Relative { ppm })
        };
        let kind = match text.split_once(':') {
            None if text == "exact" => Some(Self::Exact),
            Some(("rel", ppm)) => relative(ppm),
            Some(("abs", tolerance)) => tolerance.parse().ok().map(Self::Absolute),
            _ => None,
        };
        kind.ok_or_else(|| ParseFormError { found: text.to_owned() })
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mantissa, exponent } = *self;
        match exponent {
            0..=5 => write!(f, "{}", u64::from(mantissa) * 10_u64.pow(exponent.unsigned_abs().into())),
            -5..0 => {
                let places = usize::from(exponent.unsigned_abs());
                let digits = format!("{mantissa:0>width$}", width = places + 1);
                let (whole, fraction) = digits.split_at(digits.len() - places);
                write!(f, "{whole}.{fraction}")
            }
            _ => write!(f, "{mantissa}e{exponent}"),
        }
    }
}

impl FromStr for Tolerance {
    type Err = ParseFormError;

    fn from_str(text: &str) -> Result<Self, ParseFormError> {
        let parsed = || {
            if text.starts_with(['+', '-']) || text.len() > super::MAX_NUMBER_BYTES {
                return None;
            }
            let (mantissa, exponent) = Decimal::parse(text)?.significant()?;
            let exponent = i8::try_from(exponent).ok()?;
            let is_small = mantissa > 0 && mantissa <= MAX_MANTISSA;
            let has_room = (-EXPONENT_BIAS..EXPONENT_BIAS).contains(&exponent);
            (is_small && has_room).then_some(Self { mantissa, exponent })
        };
        parsed().ok_or_else(|| ParseFormError { found: format!("abs:{text}") })
    }
}

impl fmt::Display for SummaryForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.kinds().iter().map(Kind::to_string).collect();
        let text = kinds.join(",");
        // A word that this program would not write has no other text.
        if text.parse() == Ok(*self) {
            f.write_str(&text)
        } else {
            f.write_str(&hex::encode_prefixed(self.0))
        }
    }
}

impl fmt::Debug for SummaryForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SummaryForm {
    type Err = ParseFormError;

    fn from_str(text: &str) -> Result<Self, ParseFormError> {
        let refused = || ParseFormError { found: text.chars().take(80).collect() };
        if text.starts_with("0x") {
            return crate::domain::ids::parse_hex(text).map(Self).map_err(|_| refused());
        }
        let kinds = text.split(',').map(|kind| kind.trim().parse()).collect::<Result<Vec<Kind>, _>>()?;
        Self::new(&kinds).ok_or_else(refused)
    }
}

json_as_text!(SummaryForm);
