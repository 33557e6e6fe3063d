//! Deals of every kind that the rules allow.

use assay::{
    domain::{Acceptance, Amount, Audit, Canonical, Deal, Method, NodeId, Span, SummaryForm},
    rules::Rejection,
};

use super::{super::NODES, MOST_SEATS, Script};

impl Script {
    /// A valid deal.
    pub(in super::super) fn deal(&mut self) -> Deal {
        let n = self.chance.pick(&[1, 2, 2, 3, 3, 3, 4, 5]);
        let (timeout, amount) = (600, |units| Amount::new(units).unwrap());
        let price = if self.with_money { self.chance.pick(&[10, 10, 10, 0]) } else { 0 };
        let first_come = self.percent(20);
        let allows = self.percent(15);
        let follows_up = n < MOST_SEATS;
        let mut allow_list: Vec<NodeId> = self.ids[1..NODES].to_vec();
        allow_list.sort_unstable();
        // Until a job was followed up, many are such that their nodes hardly agree.
        let splits = follows_up && !self.rejected.contains(&Rejection::SatInParent) && self.percent(50);
        let untried = self.with_money && !self.rejected.contains(&Rejection::TooLittlePaid);
        let asks_record = self.with_money && self.percent(if untried { 25 } else { 10 });
        let method =
            self.chance.pick(&[Method::Hash, Method::KMeans, Method::Ball, Method::Ball, Method::Near]);
        let require_work = matches!(method, Method::Hash | Method::Near) && self.percent(20);
        // The submission puts the hash of its secret in. A job has another id on each backend, and so another draw: only a
        // draw that is all but certain is the same.
        let spare = MOST_SEATS - n;
        let audit = (spare > 0 && self.percent(30))
            .then(|| Audit::requested(self.chance.pick(&[1, 1000]), self.chance.pick(&[1, spare])));
        let most = n + audit.map_or(0, |audit| audit.seats);
        let deal = Deal {
            concurrency: n,
            confidence: self.chance.pick(&[1, n / 2 + 1, n / 2 + 1, n]),
            tolerance_kib: self.chance.pick(&[0, 64, 1024, 1024]),
            relative_permille: self.chance.pick(&[0, 300]),
            method,
            deterministic: self.percent(25) && !require_work,
            acceptance: if first_come { Acceptance::FirstCome } else { Acceptance::Requester },
            price: amount(price),
            bond: amount(price * self.chance.pick(&[1, 2, 10])),
            keeper_fee: amount(if self.with_money { self.chance.pick(&[0, 3]) } else { 0 }),
            open: Span::from_secs(self.chance.pick(&[300, 900])),
            timeout: Span::from_secs(timeout),
            run: Span::from_secs(timeout + self.chance.pick(&[60, 120, 900])),
            reveal: Span::from_secs(self.chance.pick(&[60, 300])),
            live_logs: false,
            allow_list: if allows { allow_list } else { Vec::new() },
            min_paid: amount(u128::from(asks_record)),
            escalation_limit: if follows_up { self.chance.pick(&[most, MOST_SEATS, MOST_SEATS]) } else { 0 },
            parent: None,
            require_work,
            cpu_permille: self.chance.pick(&[333, 333, 0]),
            canonical: Canonical::NONE,
            summary: (method == Method::Near).then_some(SummaryForm([1; 32])),
            audit,
        };
        if splits {
            Deal {
                method: Method::Hash,
                summary: None,
                confidence: n,
                escalation_limit: MOST_SEATS,
                audit: None,
                ..deal
            }
        } else {
            deal
        }
    }
}
