//! Chance that can be replayed, and the queue of what happens when.

use std::{collections::BTreeMap, ops::Range};

/// SplitMix64, after Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// All that follows from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next word.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number in a range.
    ///
    /// # Panics
    /// If the range is empty.
    pub const fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// True this many times in a thousand.
    pub const fn permille(&mut self, permille: u64) -> bool {
        self.within(0..1000) < permille
    }

    /// As many bytes as a digest has.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_be_bytes()));
        bytes
    }

    /// The place of one of so many things.
    ///
    /// # Panics
    /// If there are none.
    pub fn index(&mut self, of: usize) -> usize {
        let index = self.within(0..u64::try_from(of).unwrap_or(u64::MAX));
        usize::try_from(index).unwrap_or_default()
    }

    /// One of some things.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

/// What happens when, in milliseconds; at the same time in the order in which it was put in.
#[derive(Debug)]
pub(super) struct Queue<T> {
    now_ms: u64,
    count: u64,
    waiting: BTreeMap<(u64, u64), T>,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self { now_ms: 0, count: 0, waiting: BTreeMap::new() }
    }

    pub(super) const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn put(&mut self, at_ms: u64, what: T) {
        self.count += 1;
        self.waiting.insert((at_ms.max(self.now_ms), self.count), what);
    }

    /// When the next thing happens.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let ((at_ms, _), what) = self.waiting.pop_first()?;
        self.now_ms = at_ms;
        Some(what)
    }
}
