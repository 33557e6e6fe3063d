//! The fingerprint of a run's work: ten numbers of its memory, its CPU time and its page faults, in a 256-bit word.
//!
//! `docs/verification.md` defines the arithmetic. The Solidity twin of [`FingerprintWord`] is
//! `contracts/src/Fingerprints.sol`, and both read `tests/vectors/fingerprint.json`.

use alloy_primitives::U256;

use super::{ids::parse_word, method::Method, text::hex_text};

mod faults;

pub use faults::MAX_FAULTS;

/// Memory samples in a fingerprint: one for each tenth of the run.
pub const TENTHS: usize = 10;

/// Times stay below this many milliseconds (34 years), so that no sum below overflows.
pub const MAX_TIME_MS: u64 = 1 << 40;

/// One reading of a container's anonymous memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When the reading was taken, in milliseconds on the run's clock.
    pub t_ms: u64,
    /// Anonymous resident memory, in KiB.
    pub rss_kib: u32,
}

/// A sample up to this size, in KiB, counts as empty: kernels count in batches and lag by a few pages.
const HELD_KIB: u32 = 64;

/// The work of one run: its memory seen in two ways, its CPU time and its page faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Time-weighted mean memory in each tenth of the run, in KiB.
    pub w: [u32; TENTHS],
    /// The memory that the run stayed within for 5 %, 15 %, ... 95 % of its time, in KiB; never decreasing.
    pub q: [u32; TENTHS],
    /// CPU time at exit, in milliseconds.
    pub cpu_ms: u64,
    /// Page faults until exit, including major ones.
    pub faults: u64,
}

/// The row of a fingerprint that a method compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// `w` for `kmeans`, `q` for all others, in KiB.
    pub memory_kib: [u32; TENTHS],
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Page faults.
    pub faults: u64,
}

impl Fingerprint {
    /// The fingerprint of the run from `start_ms` up to, but not including, `end_ms`.
    ///
    /// The run ends early at the first sample of at most 64 KiB that no larger sample follows, because a node that notices
    /// the container's end late takes such samples. A sample holds until the next one, and the first also back to the start.
    /// Samples at or after the end, and all but the last at or before the start, are dropped. `None` makes the run absent,
    /// which differs from a row of zeros. It is returned when the times do not strictly increase, when no sample is left, or
    /// when the window is empty or reaches [`MAX_TIME_MS`].
    pub fn from_samples(
        samples: &[Sample],
        (start_ms, end_ms): (u64, u64),
        cpu_ms: u64,
        faults: u64,
    ) -> Option<Self> {
        let increasing = samples.is_sorted_by(|a, b| a.t_ms < b.t_ms);
        if !increasing || start_ms >= end_ms || end_ms >= MAX_TIME_MS {
            return None;
        }
        let end_ms = end_of_memory(samples, start_ms).map_or(end_ms, |at| at.min(end_ms));
        let stretches = stretches(samples, start_ms, end_ms)?;
        let duration = end_ms - start_ms;
        Some(Self { w: tenths(&stretches, duration), q: quantiles(stretches, duration), cpu_ms, faults })
    }

    /// The row that `method` compares.
    pub fn profile(&self, method: Method) -> Profile {
        let memory_kib = match method {
            Method::KMeans => self.w,
            Method::Ball | Method::Hash | Method::Near => self.q,
        };
        Profile { memory_kib, cpu_ms: self.cpu_ms, faults: self.faults }
    }
}

/// The time at which the run stopped holding memory, if the samples show it.
fn end_of_memory(samples: &[Sample], start_ms: u64) -> Option<u64> {
    let last = samples.iter().rposition(|sample| sample.rss_kib > HELD_KIB)?;
    samples[last + 1..].iter().map(|sample| sample.t_ms).find(|at| *at > start_ms)
}

/// A stretch of time, in milliseconds since the start of the run, with one memory value.
struct Stretch {
    from: u64,
    to: u64,
    kib: u32,
}

/// The run as stretches that cover its whole window; `None` without a usable sample.
fn stretches(samples: &[Sample], start_ms: u64, end_ms: u64) -> Option<Vec<Stretch>> {
    let samples = &samples[..samples.partition_point(|s| s.t_ms < end_ms)];
    let before = samples.partition_point(|s| s.t_ms <= start_ms);
    let samples = &samples[before.saturating_sub(1)..];
    let mut stretches: Vec<Stretch> = Vec::with_capacity(samples.len());
    for (i, sample) in samples.iter().enumerate() {
        let from = if i == 0 { 0 } else { sample.t_ms - start_ms };
        let to = samples.get(i + 1).map_or(end_ms, |next| next.t_ms) - start_ms;
        stretches.push(Stretch { from, to, kib: sample.rss_kib });
    }
    (!stretches.is_empty()).then_some(stretches)
}

/// The mean of each tenth, rounded half up.
///
/// Time is counted in tenths of a millisecond, so that every tenth of the run starts on an integer. An area is at most 2^32
/// KiB x 2^40 = 2^72.
fn tenths(stretches: &[Stretch], duration: u64) -> [u32; TENTHS] {
    let mut areas = [0u128; TENTHS];
    for (k, area) in (0u64..).zip(&mut areas) {
        let (low, high) = (k * duration, (k + 1) * duration);
        let first = stretches.partition_point(|stretch| 10 * stretch.to <= low);
        for stretch in stretches[first..].iter().take_while(|stretch| 10 * stretch.from < high) {
            let overlap = (10 * stretch.to).min(high) - (10 * stretch.from).max(low);
            *area += u128::from(stretch.kib) * u128::from(overlap);
        }
    }
    let duration = u128::from(duration);
    areas.map(|area| {
        let mean = (2 * area + duration) / (2 * duration);
        u32::try_from(mean).expect("a mean of 32-bit values is one")
    })
}

/// For 5 %, 15 %, ... 95 % of the time: the least value that memory stayed within for that share.
fn quantiles(mut stretches: Vec<Stretch>, duration: u64) -> [u32; TENTHS] {
    stretches.sort_unstable_by_key(|stretch| stretch.kib);
    let mut quantiles = [0; TENTHS];
    let mut stretches = stretches.into_iter();
    let (mut time, mut kib) = (0, 0);
    for (k, quantile) in (0u64..).zip(&mut quantiles) {
        while 20 * time < (2 * k + 1) * duration {
            let stretch = stretches.next().expect("the stretches cover the whole duration");
            time += stretch.to - stretch.from;
            kib = stretch.kib;
        }
        *quantile = kib;
    }
    quantiles
}

/// A fingerprint in 256 bits, big endian: what a node commits to and reveals.
///
/// Sample k is in bits 20k to 20k + 19, in units of 256 KiB, rounded half up and capped at 2^20 - 1 (256 GiB). Kernels count
/// memory in steps of about that unit. The CPU time is in bits 200 to 231, in milliseconds, capped at 2^32 - 1. The page
/// faults are in bits 232 to 251, as 5 bits of exponent over 15 bits of fraction, rounded down to 16 significant bits. Bits
/// 252 to 255 are zero, so a fingerprint never equals the void word. [`FingerprintWord::VOID`] means that there is no
/// fingerprint; a word of zeros is a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FingerprintWord(pub [u8; 32]);

const SAMPLE_BITS: usize = 20;
const SAMPLE_MAX: u64 = (1 << SAMPLE_BITS) - 1;
const CPU_SHIFT: usize = SAMPLE_BITS * TENTHS;
const CPU_MAX: u64 = u32::MAX as u64;
const FAULTS_SHIFT: usize = CPU_SHIFT + 32;
const FAULTS_MAX: u64 = (1 << faults::CODE_BITS) - 1;
const DIRTY_SHIFT: usize = FAULTS_SHIFT + faults::CODE_BITS as usize;
const UNIT_KIB: u64 = 256;

/// The word is not a fingerprint: one of its bits 252 to 255 is set, and it is not the void word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fingerprint word has a bit above 251 set")]
pub struct DirtyFingerprint;

/// The text is not `0x` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fingerprint word is not `0x` and 64 hexadecimal digits")]
pub struct ParseFingerprintError;

impl FingerprintWord {
    /// No fingerprint: all bits set.
    pub const VOID: Self = Self([0xff; 32]);

    /// The word of the row that `method` compares. Rounding loses up to 128 KiB a sample; values above the caps become the
    /// caps.
    pub fn pack(fingerprint: &Fingerprint, method: Method) -> Self {
        let profile = fingerprint.profile(method);
        let mut word = U256::from(profile.cpu_ms.min(CPU_MAX)) << CPU_SHIFT;
        word |= U256::from(faults::encode(profile.faults)) << FAULTS_SHIFT;
        for (k, kib) in profile.memory_kib.into_iter().enumerate() {
            let units = (u64::from(kib) + UNIT_KIB / 2) / UNIT_KIB;
            word |= U256::from(units.min(SAMPLE_MAX)) << (SAMPLE_BITS * k);
        }
        Self(word.to_be_bytes())
    }

    /// The row in KiB, milliseconds and faults, or `None` for the void word.
    ///
    /// # Errors
    ///
    /// [`DirtyFingerprint`] when a top bit is set in any word but the void one: a fingerprint has one encoding.
    pub fn unpack(self) -> Result<Option<Profile>, DirtyFingerprint> {
        if self == Self::VOID {
            return Ok(None);
        }
        let word = U256::from_be_bytes(self.0);
        if !(word >> DIRTY_SHIFT).is_zero() {
            return Err(DirtyFingerprint);
        }
        let field = |shift: usize, mask: u64| ((word >> shift) & U256::from(mask)).to::<u64>();
        let memory_kib = std::array::from_fn(|k| {
            let kib = field(SAMPLE_BITS * k, SAMPLE_MAX) * UNIT_KIB;
            u32::try_from(kib).expect("20 bits times 256 are 28 bits")
        });
        let faults = faults::decode(field(FAULTS_SHIFT, FAULTS_MAX));
        Ok(Some(Profile { memory_kib, cpu_ms: field(CPU_SHIFT, CPU_MAX), faults }))
    }
}

hex_text!(FingerprintWord, |text| parse_word(text).ok_or(ParseFingerprintError), ParseFingerprintError);

#[cfg(test)]
mod tests;
