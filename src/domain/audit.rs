//! Unannounced audits: once the first seats of a job have committed, a draw that no node can foresee decides whether more
//! seats run it too.

use std::fmt;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use super::{AuditSecret, Digest, SecretHash};

/// Separates this hash of a requester's secret from its hashes for other purposes.
const CONTEXT: &[u8] = b"assay audit secret v1\0";

/// The terms of an audit.
///
/// The requester commits to a secret with the deal and publishes it once the first wave has committed. So no node of the
/// first wave knows whether its result will be compared, and the requester cannot choose whose is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The chance of a second wave, in thousandths, 1..=1000.
    pub permille: u16,
    /// How many seats the second wave adds. Together with the concurrency at most 31.
    pub seats: u8,
    /// The hash that the requester commits to; not zero.
    pub secret_hash: SecretHash,
}

/// The stage of a job's audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AuditStage {
    /// The deal has no audit.
    #[default]
    None = 0,
    /// The draw has not happened yet.
    Undrawn = 1,
    /// The draw spared the job: the first wave alone decides.
    Spared = 2,
    /// The draw opened a second wave.
    Drawn = 3,
}

/// Bits of the audit's word that hold the number of seats.
const SEAT_BITS: u16 = 5;

impl Audit {
    /// The terms as a user states them. The requester's node replaces the hash by the hash of its own secret.
    pub const fn requested(permille: u16, seats: u8) -> Self {
        Self { permille, seats, secret_hash: SecretHash::new([0xff; 30]) }
    }

    /// The terms as one word, big endian: 240 bits of hash, 11 bits of chance, 5 bits of seats. Valid terms never give zero,
    /// which stands for a deal without an audit.
    pub fn to_word(self) -> [u8; 32] {
        let mut word = [0; 32];
        word[..30].copy_from_slice(self.secret_hash.as_bytes());
        word[30..].copy_from_slice(&(self.permille << SEAT_BITS | u16::from(self.seats)).to_be_bytes());
        word
    }

    /// The terms in a word. Does not check their bounds.
    pub fn from_word(word: [u8; 32]) -> Self {
        let [.., high, low] = word;
        let mut secret_hash = [0; 30];
        secret_hash.copy_from_slice(&word[..30]);
        Self {
            permille: u16::from_be_bytes([high, low]) >> SEAT_BITS,
            seats: low & ((1 << SEAT_BITS) - 1),
            secret_hash: SecretHash::new(secret_hash),
        }
    }

    /// Whether the draw opens a second wave: keccak256(secret, commitments) modulo 1000 is below [`Self::permille`]. The
    /// commitments are those of the first wave, ascending by seat.
    pub fn draws(&self, secret: AuditSecret, commitments: impl IntoIterator<Item = Digest>) -> bool {
        let mut drawn = secret.as_bytes().to_vec();
        for commitment in commitments {
            drawn.extend_from_slice(commitment.as_bytes());
        }
        U256::from_be_bytes(*Digest::keccak(drawn).as_bytes()) % U256::from(1000) < U256::from(self.permille)
    }
}

impl AuditSecret {
    /// The secret of one job of a requester: keccak256 of a constant prefix, a secret that only the requester has, and the
    /// job's nonce. The requester can compute it again after a crash, so nothing stores it.
    pub fn of(requester_secret: Digest, nonce: u64) -> Self {
        let parts = [CONTEXT, requester_secret.as_bytes(), &nonce.to_be_bytes()];
        Self::new(*Digest::keccak(parts.concat()).as_bytes())
    }

    /// The hash that a deal commits to.
    pub fn hash(self) -> SecretHash {
        let mut hash = [0; 30];
        hash.copy_from_slice(&Digest::keccak(self.as_bytes()).as_bytes()[..30]);
        SecretHash::new(hash)
    }
}

impl AuditStage {
    /// Every stage, in the contract's order.
    pub const ALL: [Self; 4] = [Self::None, Self::Undrawn, Self::Spared, Self::Drawn];
}

impl fmt::Display for AuditStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Undrawn => "undrawn",
            Self::Spared => "spared",
            Self::Drawn => "drawn",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(permille: u16) -> Audit {
        Audit { permille, seats: 2, secret_hash: SecretHash::new([9; 30]) }
    }

    fn secret(number: u16) -> AuditSecret {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        AuditSecret::new(bytes)
    }

    #[test]
    fn a_word_holds_every_term() {
        for audit in [audit(1), audit(1000), Audit { seats: 31, ..audit(100) }] {
            assert_eq!(Audit::from_word(audit.to_word()), audit);
        }
        assert_eq!(Audit::from_word([0xff; 32]).to_word(), [0xff; 32]);
        assert_eq!(audit(100).to_word()[30..], [0x0c, 0x82], "100 << 5 | 2");
    }

    #[test]
    fn the_chance_of_a_draw_is_the_permille() {
        let commitments = [Digest::new([7; 32])];
        let drawn = |permille| (0..2000).filter(|n| audit(permille).draws(secret(*n), commitments)).count();
        assert_eq!((drawn(0), drawn(1000)), (0, 2000));
        // Three standard deviations of a binomial of 2000 draws at one in ten.
        assert!((160..=240).contains(&drawn(100)), "{}", drawn(100));
    }

    #[test]
    fn every_commitment_and_the_secret_change_the_draw() {
        let [a, b, c] = [1, 2, 3].map(|byte| Digest::new([byte; 32]));
        let differs = |left: [Digest; 2], right: [Digest; 2]| {
            (0..200).any(|n| audit(500).draws(secret(n), left) != audit(500).draws(secret(n), right))
        };
        assert!(differs([a, b], [b, a]) && differs([a, b], [a, c]) && differs([a, b], [c, b]));
        assert!((0..200).any(|n| audit(500).draws(secret(n), [a]) != audit(500).draws(secret(n + 1), [a])));
    }
}
