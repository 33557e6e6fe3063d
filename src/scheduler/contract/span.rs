//! How many blocks the endpoints let us ask for at a time.

use std::sync::{Mutex, PoisonError};

/// Most blocks in a window: what public endpoints answer at a time.
pub(super) const RANGE: u64 = 1000;

/// Windows without a complaint before larger ones are tried again.
const PATIENCE: u32 = 16;

/// Blocks at a time: less after each complaint, and slowly more again.
#[derive(Debug)]
pub(super) struct Span(Mutex<SpanState>);

#[derive(Debug, Clone, Copy)]
struct SpanState {
    now: u64,
    /// The least that was refused.
    refused: u64,
    answers: u32,
}

impl Default for Span {
    fn default() -> Self {
        Self(Mutex::new(SpanState { now: RANGE, refused: RANGE + 1, answers: 0 }))
    }
}

impl Span {
    pub(super) fn now(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    pub(super) fn answered(&self) {
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        span.answers += 1;
        if span.answers >= PATIENCE {
            span.answers = 0;
            let room = span.refused.saturating_sub(1).saturating_sub(span.now);
            if room == 0 {
                // Another endpoint may take what this one refused, or this one later.
                span.refused = (span.refused * 2).min(RANGE + 1);
            } else {
                span.now += room.div_ceil(2);
            }
        }
    }

    pub(super) fn complained(&self, asked: u64) {
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (span.refused, span.answers) = (asked, 0);
        span.now = span.now.min((asked / 2).max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_settles_at_what_an_endpoint_takes_and_grows_again() {
        for limit in [1, 10, 500, 999, RANGE] {
            let span = Span::default();
            let mut refused = 0;
            for _ in 0..2000 {
                let asked = span.now();
                assert!((1..=RANGE).contains(&asked));
                if asked > limit {
                    refused += 1;
                    span.complained(asked);
                } else {
                    span.answered();
                }
            }
            assert!(span.now() > limit / 2, "{limit}: {span:?}");
            assert!(refused < 200, "{limit}: {refused} of 2000 requests were refused");
        }
        let span = Span::default();
        span.complained(RANGE);
        span.complained(10);
        for _ in 0..1000 {
            span.answered();
        }
        assert_eq!(span.now(), RANGE, "an endpoint that takes more again is asked for more");
    }
}
