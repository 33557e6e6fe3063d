//! The exact split of integers into a low and a high group: 2-means in one dimension.
//!
//! An optimal 2-means clustering of numbers cuts their sorted order in one place. Let n values have the total T,
//! and the i least of them the sum L. Then a cut after the i-th lessens the sum of squared distances from the
//! centres by (i T - n L)^2 / (n i (n - i)). The largest such gain wins; the common n is dropped and
//! fractions are compared by cross-multiplication, so the answer is exact. Equal gains: the more uneven
//! cut, then the larger i. Equal values are never separated.

use std::cmp::Ordering;

/// A cut of the sorted values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// How many values are in the low group.
    pub low: usize,
    /// The largest value in the low group; everything above it is in the high group.
    pub last_low: u32,
}

/// Sorts the values and cuts them in two so that the sum of squared distances from the two means is least.
/// `None` when there are no two different values.
///
/// Takes n log n time. Exact for up to 2^25 values.
pub fn two_means(values: &mut [u32]) -> Option<Split> {
    values.sort_unstable();
    let low = split_sorted(values)?;
    Some(Split { low, last_low: values[low - 1] })
}

/// A cut and the two parts of its gain, difference^2 / weight.
#[derive(Clone, Copy)]
struct Cut {
    low: u64,
    high: u64,
    difference: u128,
    weight: u128,
}

impl Cut {
    /// Compares by cross-multiplied gains, then by unevenness, then by size.
    ///
    /// A difference is at most n^2 / 4 times the largest value, a weight at most n^2 / 4, and their product
    /// must be below 2^128: n up to 2^25 with values below 2^32, n up to 2^21 with values below 2^43. The
    /// last factor then takes it to 256 bits.
    fn cmp_gain(&self, other: &Self) -> Ordering {
        let gain = wide_product(self.difference * other.weight, self.difference);
        let other_gain = wide_product(other.difference * self.weight, other.difference);
        let larger = |cut: &Self| cut.low.max(cut.high);
        gain.cmp(&other_gain)
            .then_with(|| larger(self).cmp(&larger(other)))
            .then_with(|| self.low.cmp(&other.low))
    }
}

/// The product in 256 bits, the high half first, so that products compare as they should.
fn wide_product(a: u128, b: u128) -> (u128, u128) {
    let (low, high) = a.carrying_mul(b, 0);
    (high, low)
}

/// How many of the sorted values are in the low group, at least 1 and not all; `None` when all are equal.
///
/// The values must add up to less than 2^64.
pub(super) fn split_sorted<T: Copy + Ord + Into<u64>>(sorted: &[T]) -> Option<usize> {
    let n = sorted.len() as u64;
    let total: u64 = sorted.iter().map(|&value| value.into()).sum();
    let mut sum = 0;
    let mut best: Option<Cut> = None;
    for (low, pair) in (1..n).zip(sorted.windows(2)) {
        let (last_low, first_high): (u64, u64) = (pair[0].into(), pair[1].into());
        sum += last_low;
        if last_low == first_high {
            continue;
        }
        let high = n - low;
        let weight = u128::from(low * high);
        // A value nearer to the other group's mean would lessen the squared distances by changing sides. So
        // the best cuts have the middle of the two means between their groups; no others need be compared.
        let middle = u128::from(sum) * u128::from(high) + u128::from(total - sum) * u128::from(low);
        if 2 * weight * u128::from(last_low) > middle || 2 * weight * u128::from(first_high) < middle {
            continue;
        }
        // Never negative, because the values ascend.
        let difference = u128::from(low) * u128::from(total) - u128::from(n) * u128::from(sum);
        let cut = Cut { low, high, difference, weight };
        if best.is_none_or(|best| cut.cmp_gain(&best).is_gt()) {
            best = Some(cut);
        }
    }
    best.and_then(|best| usize::try_from(best.low).ok())
}
