//! Kinds and tolerances for a summary, from the summaries of pilot runs.
//!
//! Each number that differs between pilots gets a tolerance of three times the pilots' range. That suits the usual noise.
//! [`Proposal`] says how often honest runs would still be rejected, and which liars would pass.

use super::{
    MAX_NUMBER_BYTES, MAX_NUMBERS, MAX_SUMMARY_BYTES, SummaryFault, SummaryForm, SummaryWord,
    decimal::{Decimal, Spread},
    form::{Kind, Tolerance},
};

/// The least number of pilots that shows a spread.
pub const MIN_PILOTS: usize = 3;

/// The tolerance, as a multiple of the pilots' range.
const RANGES: u32 = 3;

/// Above this a relative tolerance becomes an absolute one: it no longer concerns the last digits.
const MOST_PPM: u32 = 100_000;

/// How often two more runs differ by more than three times the range of 3, 4, .. 16 pilots, in millionths, for one number
/// with normally distributed noise. A test integrates it again.
const HONEST_PPM: [u32; 14] = [56_119, 18_157, 6597, 2618, 1115, 503, 239, 118, 61, 32, 18, 10, 6, 3];

/// A form, and what to expect of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What `--summary` takes.
    pub form: SummaryForm,
    /// The numbers, in order.
    pub numbers: Vec<ProposedNumber>,
    /// The most honest runs that would be rejected, out of a million, if the noise is normally distributed.
    pub honest_rejected_ppm: u32,
    /// How many pilots the others would have rejected, each under tolerances from the others alone. A high count means that
    /// the noise has outliers and that the estimate is too low.
    pub left_out_rejected: usize,
    /// The known kinds of liar that the form would let pass.
    pub liars: Vec<(KnownLiar, bool)>,
}

/// A number of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedNumber {
    /// How it should be compared.
    pub kind: Kind,
    /// The least value of the pilots, as the pilot wrote it.
    pub least: String,
    /// The greatest value.
    pub greatest: String,
}

/// A known kind of liar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownLiar {
    /// Writes no numbers.
    Silent,
    /// Writes zeros.
    Zeros,
    /// Knows each number to a tenth.
    Near,
    /// Knows each number to a hundredth.
    Nearer,
    /// Sends the result of its own earlier run.
    Replayer,
    /// Stops at 60 % of a job that averages, so its numbers spread 1.3 times as far.
    CutShort,
}

/// Why pilots give no proposal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalFault {
    /// There are too few pilots.
    #[error(
        "{found} pilots gave a summary, and at least {MIN_PILOTS} are needed to see how far numbers spread"
    )]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// A pilot's summary is one that no job can have.
    #[error("pilot {pilot}: {fault}")]
    Void {
        /// Which pilot, from 1.
        pilot: usize,
        /// Why.
        fault: SummaryFault,
    },
    /// A summary has no numbers, or too many.
    #[error("pilot {pilot}: the summary has {found} numbers, and 1 to {MAX_NUMBERS} can be compared")]
    Numbers {
        /// Which pilot, from 1.
        pilot: usize,
        /// How many it has.
        found: usize,
    },
    /// The pilots are too far apart for any tolerance.
    #[error("number {number} differs too much between the pilots for any tolerance: {least} to {greatest}")]
    TooWide {
        /// Which number, from 1.
        number: usize,
        /// The least value.
        least: String,
        /// The greatest value.
        greatest: String,
    },
}

impl KnownLiar {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Silent, Self::Zeros, Self::Near, Self::Nearer, Self::Replayer, Self::CutShort];

    /// A description for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Silent => "writes no numbers",
            Self::Zeros => "writes zeros",
            Self::Near => "knows each number to 10 %",
            Self::Nearer => "knows each number to 1 %",
            Self::Replayer => "replays an earlier run of its own",
            Self::CutShort => "averages over 60 % of the work",
        }
    }
}

/// Proposes kinds and tolerances. Each pilot is the content of a summary file.
///
/// # Errors
/// [`ProposalFault`].
///
/// ```
/// use assay::domain::propose_summary;
///
/// let pilots = ["3.1412 100", "3.1420 100", "3.1416 100"].map(str::as_bytes);
/// let proposal = propose_summary(&pilots)?;
/// assert_eq!(proposal.form.to_string(), "rel:765ppm,exact");
/// # Ok::<(), assay::domain::ProposalFault>(())
/// ```
pub fn propose(pilots: &[&[u8]]) -> Result<Proposal, ProposalFault> {
    let numbers = parse(pilots)?;
    if pilots.len() < MIN_PILOTS {
        return Err(ProposalFault::TooFew { found: pilots.len() });
    }
    let proposed = (1..).zip(&numbers).map(|(number, texts)| propose_number(number, texts));
    let proposed: Vec<ProposedNumber> = proposed.collect::<Result<_, _>>()?;
    let form = form_of(&proposed);
    let word = |pilot: &[u8]| SummaryWord::of(form, pilot).unwrap_or(SummaryWord::VOID);
    let words: Vec<SummaryWord> = pilots.iter().map(|pilot| word(pilot)).collect();
    let spread = proposed.iter().filter(|number| number.kind != Kind::Exact).count();
    let by_pilots = HONEST_PPM[(pilots.len() - MIN_PILOTS).min(HONEST_PPM.len() - 1)];
    let honest_rejected_ppm = u32::try_from(spread).unwrap_or(0).saturating_mul(by_pilots);
    Ok(Proposal {
        form,
        honest_rejected_ppm,
        left_out_rejected: (0..pilots.len()).filter(|out| rejects_left_out(pilots, *out)).count(),
        liars: KnownLiar::ALL.map(|liar| (liar, passes(liar, &proposed, &numbers, &words, word))).to_vec(),
        numbers: proposed,
    })
}

fn form_of(numbers: &[ProposedNumber]) -> SummaryForm {
    let kinds: Vec<Kind> = numbers.iter().map(|number| number.kind).collect();
    SummaryForm::new(&kinds).expect("there are one to ten numbers")
}

/// The texts of each number, by number.
fn parse<'a>(pilots: &[&'a [u8]]) -> Result<Vec<Vec<&'a str>>, ProposalFault> {
    let mut numbers: Vec<Vec<&str>> = Vec::new();
    for (pilot, content) in (1..).zip(pilots) {
        let void = |fault| ProposalFault::Void { pilot, fault };
        if content.len() > MAX_SUMMARY_BYTES {
            return Err(void(SummaryFault::TooLong));
        }
        let texts = super::split(content).map_err(void)?;
        if texts.is_empty() || texts.len() > MAX_NUMBERS {
            return Err(ProposalFault::Numbers { pilot, found: texts.len() });
        }
        if pilot == 1 {
            numbers.resize(texts.len(), Vec::new());
        } else if texts.len() != numbers.len() {
            return Err(void(SummaryFault::Count { found: texts.len(), expected: numbers.len() }));
        }
        for (index, (text, number)) in texts.into_iter().zip(&mut numbers).enumerate() {
            if text.len() > MAX_NUMBER_BYTES {
                return Err(void(SummaryFault::NumberTooLong { number: index + 1 }));
            }
            if Decimal::parse(text).is_none() {
                return Err(void(SummaryFault::NotANumber { number: index + 1 }));
            }
            number.push(text);
        }
    }
    Ok(numbers)
}

fn propose_number(number: usize, texts: &[&str]) -> Result<ProposedNumber, ProposalFault> {
    let decimals: Vec<Decimal> = texts.iter().filter_map(|text| Decimal::parse(text)).collect();
    let Some(spread) = Spread::of(&decimals) else {
        let text = |place: usize| (*texts.get(place).unwrap_or(&"")).to_owned();
        return Err(ProposalFault::TooWide { number, least: text(0), greatest: text(texts.len() - 1) });
    };
    let (least, greatest) = (texts[spread.least].to_owned(), texts[spread.greatest].to_owned());
    if texts.iter().all(|text| *text == texts[0]) {
        return Ok(ProposedNumber { kind: Kind::Exact, least, greatest });
    }
    let relative = spread.relative_ppm(RANGES).map(|ppm| Kind::Relative { ppm: ppm.max(1) });
    let absolute =
        spread.times_range(RANGES).and_then(|(mantissa, exponent)| Tolerance::new(mantissa, exponent));
    let close = relative.filter(|kind| matches!(kind, Kind::Relative { ppm } if *ppm <= MOST_PPM));
    let kind = close.or(absolute.map(Kind::Absolute)).or(relative);
    let kind = kind.ok_or_else(|| ProposalFault::TooWide {
        number,
        least: least.clone(),
        greatest: greatest.clone(),
    })?;
    Ok(ProposedNumber { kind, least, greatest })
}

/// Whether a pilot agrees with fewer than half of the others, under tolerances from the others alone.
fn rejects_left_out(pilots: &[&[u8]], out: usize) -> bool {
    let others: Vec<&[u8]> =
        pilots.iter().enumerate().filter(|(index, _)| *index != out).map(|(_, pilot)| *pilot).collect();
    let Ok(numbers) = parse(&others) else { return true };
    let proposed: Result<Vec<_>, _> =
        (1..).zip(&numbers).map(|(number, texts)| propose_number(number, texts)).collect();
    let Ok(proposed) = proposed else { return true };
    let form = form_of(&proposed);
    let word = |pilot: &[u8]| SummaryWord::of(form, pilot).unwrap_or(SummaryWord::VOID);
    let agree = others.iter().filter(|other| word(other).agrees_with(word(pilots[out]))).count();
    2 * agree < others.len()
}

fn passes(
    liar: KnownLiar,
    proposed: &[ProposedNumber],
    numbers: &[Vec<&str>],
    words: &[SummaryWord],
    word: impl Fn(&[u8]) -> SummaryWord,
) -> bool {
    let off_by =
        |permille| proposed.iter().zip(numbers).all(|(number, texts)| covers(number.kind, texts, permille));
    match liar {
        KnownLiar::Silent => false,
        KnownLiar::Zeros => {
            let zeros = word("0 ".repeat(numbers.len()).as_bytes());
            words.iter().any(|word| word.agrees_with(zeros))
        }
        KnownLiar::Near => off_by(100),
        KnownLiar::Nearer => off_by(10),
        // The pilots are earlier runs of each other.
        KnownLiar::Replayer => words
            .iter()
            .enumerate()
            .any(|(index, word)| words[..index].iter().any(|other| other.agrees_with(*word))),
        // A tolerance of three ranges does not notice a spread of 1.3. Numbers that do not spread are not averages.
        KnownLiar::CutShort => proposed.iter().any(|number| number.kind != Kind::Exact),
    }
}

/// Whether a number that is off by `permille` thousandths would agree. A liar knows the numbers that never change.
fn covers(kind: Kind, texts: &[&str], permille: u32) -> bool {
    match kind {
        Kind::Exact => true,
        Kind::Relative { ppm } => ppm >= 1000 * permille,
        Kind::Absolute(tolerance) => texts
            .iter()
            .filter_map(|text| Decimal::parse(text))
            .any(|number| number.size().times(permille).is_at_most(&tolerance.size().times(1000))),
    }
}

#[cfg(test)]
mod tests;
