//! Decimal numbers as exact fractions.

use alloy_primitives::Uint;

/// Room for the largest numerator below, 64 x 10^40 x 10^(400 + 64), twice over.
type Wide = Uint<2048, 32>;

/// Most digits of a number.
const MAX_DIGITS: usize = 40;
/// The largest exponent of a number; negated, the least.
const MAX_EXPONENT: i32 = 400;

/// A decimal number: digits x 10^exponent, exponent -440 to 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: Wide,
    exponent: i32,
}

impl Decimal {
    /// Reads a sign, digits with a point in or beside them, and an exponent of at most three digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let places = i32::try_from(fraction.len()).ok()?;
        let count = whole.len() + fraction.len();
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !all_digits || count == 0 || count > MAX_DIGITS {
            return None;
        }
        let digits = whole
            .bytes()
            .chain(fraction.bytes())
            .fold(Wide::ZERO, |sum, digit| sum * Wide::from(10) + Wide::from(digit - b'0'));
        Some(Self { negative: text.starts_with('-'), digits, exponent: exponent - places })
    }

    /// `digits` x 10^`exponent`.
    pub(super) fn new(digits: u16, exponent: i32) -> Self {
        Self { negative: false, digits: Wide::from(digits), exponent }
    }

    /// The number without trailing zeros, as mantissa x 10^exponent; `None` if the mantissa needs more than 16 bits.
    pub(super) fn significant(self) -> Option<(u16, i32)> {
        let ten = Wide::from(10);
        let (mut digits, mut exponent) = (self.digits, self.exponent);
        while !digits.is_zero() && digits % ten == Wide::ZERO {
            digits /= ten;
            exponent += 1;
        }
        u16::try_from(digits).ok().map(|mantissa| (mantissa, exponent))
    }

    pub(super) const fn is_negative(self) -> bool {
        self.negative
    }

    /// The absolute value.
    pub(super) fn size(self) -> Size {
        let (up, down) = (self.exponent.max(0), (-self.exponent).max(0));
        Size { numerator: self.digits * power(up), denominator: power(down) }
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size: i32 = digits.parse().ok()?;
    let exponent = if text.starts_with('-') { -size } else { size };
    (exponent.abs() <= MAX_EXPONENT).then_some(exponent)
}

fn power(exponent: i32) -> Wide {
    (0..exponent).fold(Wide::from(1), |product, _| product * Wide::from(10))
}

/// The largest distance between the exponents of two numbers to compare. Their digits and this many zeros fit a [`Wide`],
/// also times a million.
const MAX_SPAN: i32 = 400;

/// How far apart numbers are.
#[derive(Debug)]
pub(super) struct Spread {
    /// Index of the least number.
    pub(super) least: usize,
    /// Index of the greatest number.
    pub(super) greatest: usize,
    /// Greatest less least, in units of 10^`exponent`.
    range: Wide,
    /// The least absolute value, in the same units; `None` if signs differ or a number is zero.
    nearest_zero: Option<Wide>,
    exponent: i32,
}

impl Spread {
    /// `None` for no numbers, and for numbers too far apart to compare.
    pub(super) fn of(numbers: &[Decimal]) -> Option<Self> {
        let exponents = || numbers.iter().filter(|number| !number.digits.is_zero()).map(|n| n.exponent);
        let (lowest, highest) = (exponents().min().unwrap_or(0), exponents().max().unwrap_or(0));
        if highest - lowest > MAX_SPAN {
            return None;
        }
        // Sorts negative numbers first, the furthest from zero first among them.
        let size = |number: &Decimal| {
            if number.digits.is_zero() { Wide::ZERO } else { number.digits * power(number.exponent - lowest) }
        };
        let key = |number: &Decimal| (!number.negative || number.digits.is_zero(), size(number));
        let mut order: Vec<(bool, Wide, usize)> =
            numbers.iter().enumerate().map(|(place, number)| (key(number).0, key(number).1, place)).collect();
        order.sort_by(|(a_up, a, _), (b_up, b, _)| {
            a_up.cmp(b_up).then_with(|| if *a_up { a.cmp(b) } else { b.cmp(a) })
        });
        let ((low_up, low, least), (high_up, high, greatest)) = (*order.first()?, *order.last()?);
        let is_one_sided = low_up == high_up && !low.is_zero() && !high.is_zero();
        Some(Self {
            least,
            greatest,
            range: if low_up == high_up { low.max(high) - low.min(high) } else { low + high },
            nearest_zero: is_one_sided.then(|| low.min(high)),
            exponent: lowest,
        })
    }

    /// `times` the range, in parts per million of the number nearest to zero, rounded up. `None` above a million, and if
    /// signs differ.
    pub(super) fn relative_ppm(&self, times: u32) -> Option<u32> {
        let scaled = self.range * Wide::from(times) * Wide::from(1_000_000);
        let ppm = scaled.div_ceil(self.nearest_zero?);
        u32::try_from(ppm).ok().filter(|ppm| *ppm <= 1_000_000)
    }

    /// `times` the range as mantissa x 10^exponent, rounded up to three digits; 10^-9 without a range.
    pub(super) fn times_range(&self, times: u32) -> Option<(u16, i32)> {
        if self.range.is_zero() {
            return Some((1, -9));
        }
        let (mut mantissa, mut exponent) = (self.range * Wide::from(times), self.exponent);
        while mantissa > Wide::from(999) {
            mantissa = mantissa.div_ceil(Wide::from(10));
            exponent += 1;
        }
        // A tolerance has one form, without trailing zeros.
        while mantissa % Wide::from(10) == Wide::ZERO {
            mantissa /= Wide::from(10);
            exponent += 1;
        }
        u16::try_from(mantissa).ok().map(|mantissa| (mantissa, exponent))
    }
}

/// A non-negative fraction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    numerator: Wide,
    denominator: Wide,
}

impl Size {
    pub(super) fn ratio(numerator: u64, denominator: u64) -> Self {
        Self { numerator: Wide::from(numerator), denominator: Wide::from(denominator) }
    }

    pub(super) fn times(self, factor: u32) -> Self {
        Self { numerator: self.numerator * Wide::from(factor), ..self }
    }

    pub(super) fn over(self, other: Self) -> Self {
        Self {
            numerator: self.numerator * other.denominator,
            denominator: self.denominator * other.numerator,
        }
    }

    /// Whether the fraction is at most the other.
    pub(super) fn is_at_most(&self, other: &Self) -> bool {
        self.numerator * other.denominator <= other.numerator * self.denominator
    }

    /// Rounded half up, then modulo a power of two.
    pub(super) fn rounded_modulo(self, modulus: u32) -> u32 {
        let two = Wide::from(2);
        let rounded = (self.numerator * two + self.denominator) / (self.denominator * two);
        (rounded % Wide::from(modulus)).to()
    }

    /// 2^32 times the binary logarithm, rounded down: by squaring, with 64 bits of fraction. `None` for zero.
    pub(super) fn log2_32(self) -> Option<i64> {
        let Self { numerator, denominator } = self;
        if numerator.is_zero() {
            return None;
        }
        let bits = |value: Wide| i64::try_from(value.bit_len()).unwrap_or(i64::MAX);
        let scaled = |power: i64| {
            let by = usize::try_from(power.unsigned_abs()).unwrap_or(usize::MAX);
            if power < 0 { (numerator << by, denominator) } else { (numerator, denominator << by) }
        };
        let mut power = bits(numerator) - bits(denominator);
        let (above, below) = scaled(power);
        if above < below {
            power -= 1;
        }
        let (above, below) = scaled(power);
        // The value is in 1 to 2, as a multiple of 2^-64. Its square takes 130 bits.
        let quotient: Wide = (above << 64) / below;
        let mut mantissa: Uint<192, 3> = quotient.to();
        let mut fraction = 0_i64;
        for _ in 0..32 {
            mantissa = (mantissa * mantissa) >> 64;
            fraction <<= 1;
            if mantissa.bit_len() > 65 {
                mantissa >>= 1;
                fraction |= 1;
            }
        }
        Some((power << 32) + fraction)
    }
}
