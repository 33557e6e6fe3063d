//! How a browser gets the node's token: by a ticket.
//!
//! A browser cannot read the token's file, and an address with the token in it would stay: in the history, in the arguments
//! of the program that opens the browser, on the screen. So `assay dashboard`, which has the token, asks for a ticket and
//! puts that into the fragment of the address, which browsers send to nobody. The page redeems it for the token at once. A
//! ticket is good for one use within a minute, so what is left of the address opens nothing.
//!
//! The page holds the token in the session storage of its tab, not in a cookie: a cookie would go to every port of this
//! machine, so to programs of its other users.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy_primitives::hex;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

/// Where a client with the token gets a ticket.
pub(super) const ISSUE: &str = "/tickets";

/// Where a browser redeems it. Needs no token.
pub(super) const REDEEM: &str = "/session";

/// How long a ticket is good.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);

/// Tickets that are good at the same time; the oldest gives way.
const MAX_TICKETS: usize = 16;

/// The tickets that were given out and not redeemed, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Tickets(Arc<Mutex<VecDeque<Ticket>>>);

struct Ticket {
    secret: [u8; 32],
    until: Instant,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Tickets {
    /// Keeps a ticket with this secret from `now` on.
    pub(super) fn keep(&self, secret: [u8; 32], now: Instant) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|ticket| ticket.until > now);
        while open.len() >= MAX_TICKETS {
            open.pop_front();
        }
        open.push_back(Ticket { secret, until: now + LIFETIME });
    }

    /// Whether this text is a ticket that is good; it is not from then on.
    pub(super) fn redeem(&self, text: &str, now: Instant) -> bool {
        let Ok(Ok(secret)) = hex::decode(text).map(<[u8; 32]>::try_from) else { return false };
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|ticket| ticket.until > now);
        let found = open.iter().position(|ticket| ticket.secret.ct_eq(&secret).into());
        found.and_then(|place| open.remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_for_a_minute() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        tickets.keep([7; 32], now);
        tickets.keep([8; 32], now);
        let (one, other) = (hex::encode([7; 32]), hex::encode([8; 32]));
        assert!(!tickets.redeem(&hex::encode([9; 32]), now));
        assert!(!tickets.redeem("", now) && !tickets.redeem(&one[2..], now));
        assert!(tickets.redeem(&one, now));
        assert!(!tickets.redeem(&one, now), "it was used");
        assert!(!tickets.redeem(&other, now + LIFETIME), "it is too old");
    }

    #[test]
    fn the_oldest_ticket_gives_way() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for number in 0..=u8::try_from(MAX_TICKETS).unwrap() {
            tickets.keep([number; 32], now);
        }
        assert!(!tickets.redeem(&hex::encode([0; 32]), now));
        assert!(tickets.redeem(&hex::encode([1; 32]), now));
    }
}
