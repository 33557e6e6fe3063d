//! The summary of a run's output: at most ten numbers in a 256-bit word, comparable without their form.
//!
//! A [`SummaryForm`], a term of the deal, says how far each number may differ. A run writes its numbers to a file. Its node
//! turns them into a [`SummaryWord`]: ten lanes of 25 bits, each the number in 64ths of its tolerance, modulo 2^25. Two
//! words agree if no lane differs by more than 64, around the circle. `docs/verification.md` has the exact arithmetic, and
//! `tests/vectors/summary.json` holds every implementation to it. The Solidity twin of [`SummaryWord::agrees_with`] is
//! `contracts/src/Summaries.sol`.

use alloy_primitives::U256;

use super::{Digest, ids::parse_word, text::hex_text};
use decimal::{Decimal, Size};

mod decimal;
mod form;
mod proposal;

pub use form::{Kind, ParseFormError, SummaryForm};
pub use proposal::{
    KnownLiar, MIN_PILOTS, Proposal, ProposalFault, ProposedNumber, propose as propose_summary,
};

/// The most numbers in a summary.
pub const MAX_NUMBERS: usize = 10;

/// The longest summary file, in bytes.
pub const MAX_SUMMARY_BYTES: usize = 1024;

/// The longest text of one number, in bytes.
pub const MAX_NUMBER_BYTES: usize = 40;

/// The summary file in `/outputs`, unless the spec names another.
pub const SUMMARY_FILE: &str = "summary";

const LANE_BITS: usize = 25;
/// The number of values of a lane, which form a circle.
const LANE: u32 = 1 << LANE_BITS;
/// One tolerance, in the units of a lane.
const STEPS: u32 = 64;
/// The lane's value for a relative number that is zero, which has no logarithm.
const ZERO: u32 = LANE / 4 * 3;

/// Why a run has no summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SummaryFault {
    /// `/outputs` has no file of that name.
    #[error("the run left no summary file")]
    Missing,
    /// There is a link or a directory in its place, or a link on the way to it.
    #[error("the summary file is no regular file: it, or a directory on its path, is something else")]
    NotAFile,
    /// The file is longer than [`MAX_SUMMARY_BYTES`].
    #[error("the summary takes more than {MAX_SUMMARY_BYTES} bytes")]
    TooLong,
    /// The file holds bytes other than printable ASCII and white space.
    #[error("the summary is not plain ASCII text")]
    NotText,
    /// The file does not have as many numbers as the deal's form.
    #[error("the summary has {found} numbers, the deal has {expected}")]
    Count {
        /// Numbers in the file.
        found: usize,
        /// Numbers in the deal's form.
        expected: usize,
    },
    /// A number is longer than [`MAX_NUMBER_BYTES`].
    #[error("number {number} of the summary takes more than {MAX_NUMBER_BYTES} bytes")]
    NumberTooLong {
        /// Which, from 1.
        number: usize,
    },
    /// The text is not a decimal number. Infinities, NaN and hexadecimal are not.
    #[error(
        "number {number} of the summary is not a decimal number; NaN, infinities and hexadecimal are not accepted"
    )]
    NotANumber {
        /// Which, from 1.
        number: usize,
    },
}

/// A summary in 256 bits, big endian: lane k in bits 25k to 25k + 24, unused lanes zero, bits 250 to 255 zero.
///
/// [`SummaryWord::VOID`] says that there is no summary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SummaryWord(pub [u8; 32]);

/// The text is not `0x` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("summary word is not `0x` and 64 hexadecimal digits")]
pub struct ParseSummaryError;

impl SummaryWord {
    /// No summary: all bits set.
    pub const VOID: Self = Self([0xff; 32]);

    /// The summary of a file's content: numbers separated by white space, as many as the form has.
    ///
    /// # Errors
    /// [`SummaryFault`]; the run's summary is then void.
    ///
    /// ```
    /// use assay::domain::{SummaryForm, SummaryWord};
    ///
    /// let form: SummaryForm = "rel:1000ppm,abs:0.5,exact".parse()?;
    /// let word = |text: &str| SummaryWord::of(form, text.as_bytes());
    /// assert!(word("3.1415 17 42")?.agrees_with(word("3.1420 17.4 42")?));
    /// assert!(!word("3.1415 17 42")?.agrees_with(word("3.1415 17 43")?));
    /// assert!(word("nan 17 42").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(form: SummaryForm, content: &[u8]) -> Result<Self, SummaryFault> {
        if content.len() > MAX_SUMMARY_BYTES {
            return Err(SummaryFault::TooLong);
        }
        let numbers = split(content)?;
        let kinds = form.kinds();
        if numbers.len() != kinds.len() {
            return Err(SummaryFault::Count { found: numbers.len(), expected: kinds.len() });
        }
        let mut word = U256::ZERO;
        for (index, (text, kind)) in numbers.into_iter().zip(kinds).enumerate() {
            let number = index + 1;
            if text.len() > MAX_NUMBER_BYTES {
                return Err(SummaryFault::NumberTooLong { number });
            }
            let lane = lane(text, kind).ok_or(SummaryFault::NotANumber { number })?;
            word |= U256::from(lane) << (LANE_BITS * index);
        }
        Ok(Self(word.to_be_bytes()))
    }

    /// Whether the word has its one encoding: void, or its top six bits zero.
    pub fn is_well_formed(self) -> bool {
        self == Self::VOID || self.0[0] >> 2 == 0
    }

    /// Whether both are summaries and no lane differs by more than its tolerance.
    pub fn agrees_with(self, other: Self) -> bool {
        self.distance(other).is_some_and(|distance| distance <= STEPS)
    }

    /// The most that any lane differs, in 64ths of its tolerance; `None` when one of them is void.
    pub fn distance(self, other: Self) -> Option<u32> {
        if self == Self::VOID || other == Self::VOID {
            return None;
        }
        let lanes = self.lanes().into_iter().zip(other.lanes());
        lanes
            .map(|(a, b)| {
                let apart = a.abs_diff(b);
                apart.min(LANE - apart)
            })
            .max()
    }

    fn lanes(self) -> [u32; MAX_NUMBERS] {
        let word = U256::from_be_bytes(self.0);
        std::array::from_fn(|k| ((word >> (LANE_BITS * k)) & U256::from(LANE - 1)).to())
    }
}

/// The texts of the numbers.
fn split(content: &[u8]) -> Result<Vec<&str>, SummaryFault> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let text = std::str::from_utf8(content).ok().filter(|_| content.iter().all(is_plain));
    Ok(text.ok_or(SummaryFault::NotText)?.split_ascii_whitespace().collect())
}

/// The lane of a number; `None` if the text is not a number.
fn lane(text: &str, kind: Kind) -> Option<u32> {
    match kind {
        Kind::Exact => {
            let hash = Digest::sha256(text);
            let [a, b, c, d, ..] = *hash.as_bytes();
            // The values are so far apart that two never agree as neighbours.
            Some((u32::from_be_bytes([a, b, c, d]) % (LANE >> 8)) << 8)
        }
        Kind::Absolute(tolerance) => {
            let number = Decimal::parse(text)?;
            let steps = number.size().times(STEPS).over(tolerance.size()).rounded_modulo(LANE);
            Some(if number.is_negative() { (LANE - steps) % LANE } else { steps })
        }
        Kind::Relative { ppm } => {
            let number = Decimal::parse(text)?;
            let Some(log) = number.size().log2_32() else { return Some(ZERO) };
            let unit = Size::ratio(1_000_000 + u64::from(ppm), 1_000_000).log2_32()?;
            let steps = rounded_ratio(u64::from(STEPS) * log.unsigned_abs(), unit.unsigned_abs());
            let steps = u32::try_from(steps % u64::from(LANE)).ok()?;
            let steps = if log < 0 { (LANE - steps) % LANE } else { steps };
            Some(if number.is_negative() { (steps + LANE / 2) % LANE } else { steps })
        }
    }
}

/// Rounds half up. The product is at most 2^43 x 64, over at least 6196.
fn rounded_ratio(numerator: u64, denominator: u64) -> u64 {
    (2 * numerator + denominator) / (2 * denominator)
}

hex_text!(SummaryWord, |text| parse_word(text).ok_or(ParseSummaryError), ParseSummaryError);

#[cfg(test)]
mod tests;
