//! What is paid for a unit of gas: what the chain asks, within the owner's cap if there is one.
//!
//! The base fee has no cap of this program's own: a chain that is dear for an hour must not cost a node its bond. A sender
//! never pays more than the base fee of the block, so that naming twice of it costs nothing. The tip is paid in full
//! and only an endpoint says how much is usual, so a tip is believed up to the base fee, or [`USUAL_TIP`] if that is more.

use alloy::{
    network::TransactionBuilder as _, providers::utils::Eip1559Estimation, rpc::types::TransactionRequest,
};

/// Highest tip that is believed whatever the base fee: 50 gwei. Chains with low base fees ask for up to 30.
const USUAL_TIP: u128 = 50_000_000_000;

/// In wei for a unit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Fees {
    /// The most that is paid, the tip included.
    pub(super) most: u128,
    pub(super) tip: u128,
}

/// The chain asks for more than the owner's cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct OverCap {
    pub(super) asked: u128,
    pub(super) cap: u128,
}

impl Fees {
    /// What to pay by an endpoint's estimate, which is twice the base fee and the tip.
    pub(in super::super) fn of(estimated: Eip1559Estimation, cap: Option<u128>) -> Result<Self, OverCap> {
        let (most, tip) = (estimated.max_fee_per_gas, estimated.max_priority_fee_per_gas);
        let twice_base = most.saturating_sub(tip);
        let tip = tip.min(USUAL_TIP.max(twice_base / 2));
        Self { most: twice_base.saturating_add(tip), tip }.within(cap)
    }

    /// The request at this price. Without one, a contract can tell an estimate from the transaction by its price of gas.
    pub(in super::super) fn on(self, request: TransactionRequest) -> TransactionRequest {
        request.with_max_fee_per_gas(self.most).with_max_priority_fee_per_gas(self.tip)
    }

    /// For a transaction that waits: a quarter more, or what new ones pay now. Chains replace a transaction for a tenth
    /// more. `None` while that is over the cap, or without a cap over the tip that is believed.
    pub(super) fn dearer(self, now: Option<Self>, cap: Option<u128>) -> Option<Self> {
        let quarter = |fee: u128| fee.saturating_add(fee / 4).saturating_add(1);
        let risen = Self { most: quarter(self.most), tip: quarter(self.tip) };
        let most = now.map_or(risen.most, |now| now.most.max(risen.most));
        let dearer = Self { most, tip: risen.tip };
        let base = now.map_or(0, |now| now.most.saturating_sub(now.tip) / 2);
        let is_believed = cap.is_some() || dearer.tip <= USUAL_TIP.max(base);
        dearer.within(cap).ok().filter(|_| is_believed)
    }

    fn within(self, cap: Option<u128>) -> Result<Self, OverCap> {
        match cap {
            Some(cap) if self.most > cap => Err(OverCap { asked: self.most, cap }),
            Some(_) | None => Ok(self),
        }
    }
}

/// Whether blocks were made without a transaction since it was sent: else a chain that stands still would drive its tip up.
/// Where blocks are final at once the newest is not asked for, is `u64::MAX`, and time alone tells.
pub(super) const fn is_passed_over(sent_in: u64, newest: u64) -> bool {
    newest == u64::MAX || newest >= sent_in.saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    fn of(base: u128, tip: u128, cap: Option<u128>) -> Result<Fees, OverCap> {
        let estimated = Eip1559Estimation { max_fee_per_gas: 2 * base + tip, max_priority_fee_per_gas: tip };
        Fees::of(estimated, cap)
    }

    #[test]
    fn a_dear_hour_is_paid_unless_the_owner_set_a_cap() {
        assert_eq!(of(5_000 * GWEI, GWEI, None), Ok(Fees { most: 10_001 * GWEI, tip: GWEI }));
        let over = of(5_000 * GWEI, GWEI, Some(200 * GWEI));
        assert_eq!(over, Err(OverCap { asked: 10_001 * GWEI, cap: 200 * GWEI }));
        assert!(of(99 * GWEI, 2 * GWEI, Some(200 * GWEI)).is_ok());
    }

    #[test]
    fn a_chain_that_stands_still_passes_nobody_over() {
        assert!(!is_passed_over(7, 7) && !is_passed_over(7, 8), "the next block may have been full");
        assert!(is_passed_over(7, 9) && is_passed_over(u64::MAX, u64::MAX));
    }

    #[test]
    fn an_absurd_tip_is_not_believed() {
        assert_eq!(of(GWEI, 30 * GWEI, None).unwrap().tip, 30 * GWEI);
        assert_eq!(of(GWEI, 9_000 * GWEI, None), Ok(Fees { most: 52 * GWEI, tip: 50 * GWEI }));
        assert_eq!(of(80 * GWEI, 9_000 * GWEI, None).unwrap().tip, 80 * GWEI);
    }

    #[test]
    fn a_transaction_that_waits_pays_ever_more_up_to_a_bound() {
        let mut fees = of(GWEI, GWEI, None).unwrap();
        let mut rises = 0;
        while let Some(dearer) = fees.dearer(None, None) {
            assert!(10 * dearer.tip >= 11 * fees.tip && 10 * dearer.most >= 11 * fees.most);
            (fees, rises) = (dearer, rises + 1);
            assert!(rises < 100, "it must end");
        }
        assert!(rises > 10 && fees.tip <= USUAL_TIP, "{rises} {fees:?}");
        // The chain's own rise is followed at once.
        let now = of(500 * GWEI, GWEI, None).ok();
        assert_eq!(of(GWEI, GWEI, None).unwrap().dearer(now, None).unwrap().most, 1_001 * GWEI);
        assert_eq!(of(GWEI, GWEI, None).unwrap().dearer(now, Some(100 * GWEI)), None);
    }
}
