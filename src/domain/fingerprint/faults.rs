//! Counts of page faults in 20 bits: exact below 2^16, and to 16 significant bits above.
//!
//! The upper 5 bits of a code are its exponent e, the lower 15 its fraction f. It means f if e = 0, and (2^15 + f) 2^(e - 1)
//! otherwise. Different codes mean different counts, and a larger code means a larger count.

/// Bits of a code.
pub(super) const CODE_BITS: u32 = 20;

const FRACTION_BITS: u32 = 15;
const LEADING_ONE: u64 = 1 << FRACTION_BITS;

/// The first count without a code. It and all above get the largest code.
pub const MAX_FAULTS: u64 = 1 << 46;

/// The code of the largest count that has one and does not exceed `count`.
pub(super) const fn encode(count: u64) -> u64 {
    let count = if count < MAX_FAULTS { count } else { MAX_FAULTS - 1 };
    let length = u64::BITS - count.leading_zeros();
    match length.saturating_sub(FRACTION_BITS) {
        0 => count,
        exponent => (exponent as u64) << FRACTION_BITS | (count >> (exponent - 1) & (LEADING_ONE - 1)),
    }
}

/// The count that a code of [`CODE_BITS`] means.
pub(super) const fn decode(code: u64) -> u64 {
    let (exponent, fraction) = (code >> FRACTION_BITS, code & (LEADING_ONE - 1));
    if exponent == 0 { fraction } else { (LEADING_ONE | fraction) << (exponent - 1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_code_is_that_of_its_count_and_codes_are_in_the_order_of_counts() {
        let mut last = None;
        for code in 0..1 << CODE_BITS {
            let count = decode(code);
            assert_eq!(encode(count), code);
            assert!(last < Some(count), "{code}");
            last = Some(count);
        }
        assert!(last.is_some_and(|largest| largest < MAX_FAULTS && encode(u64::MAX) == encode(largest)));
    }

    proptest! {
        #[test]
        fn a_count_loses_less_than_one_part_in_32768(count in 0..MAX_FAULTS, shift in 0_u32..46) {
            let count = count >> shift;
            let kept = decode(encode(count));
            prop_assert!(kept <= count && (count - kept) * LEADING_ONE <= count);
            prop_assert!(count >= 1 << 16 || kept == count);
        }
    }
}
