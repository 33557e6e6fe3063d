//! Whole jobs on the contract's signed path, beside the same jobs step by step: random terms and outputs, and all nodes
//! well. In the end the jobs are the same, and so is everybody's money, here and in the contract.

use std::{collections::BTreeMap, sync::Arc};

use assay::{
    domain::{
        Acceptance, Action, Amount, Deal, Digest, Event, EventKind, FingerprintWord, JobId, NodeId, Opening,
        SeatOpening, SignedAction, SummaryWord,
    },
    identity::NodeKey,
    rules,
    scheduler::{BackendError, Cursor, SubmitError, conformance::Party, contract::Running},
};
use futures::future::join_all;
use tokio::{task::JoinSet, time::timeout};

use super::{
    NODES, PATIENCE, REQUESTER, START, STRANGER, keys,
    script::Script,
    sides::{Act, Answer, Kind, Side, Step, Submission},
    stored,
};
use crate::contract::{
    chain::Chain,
    signed::{Hub, join_as},
};

/// A contract whose nodes hand to each other what they sign.
async fn signed(keys: &[NodeKey]) -> Side {
    let (chain, hub) = (Chain::start(Some(START.as_secs())).await, Arc::new(Hub::default()));
    let (mut parties, mut clients, mut running) = (Vec::new(), Vec::new(), Vec::<Running>::new());
    let mut announced = Vec::new();
    for key in keys {
        chain.give_gas(key.node_id());
        let member = join_as(&chain, &hub, chain.config(), key.clone()).await;
        member.scheduler.announce("/ip4/127.0.0.1/tcp/1").await.unwrap();
        announced.push(member.scheduler.announced());
        clients.push(member.scheduler.client());
        parties.push(Party::new(member.scheduler, member.key));
        running.push(member.running);
    }
    for mut known in announced {
        timeout(PATIENCE, known.wait_for(|known| known.len() == keys.len())).await.unwrap().unwrap();
    }
    Side::new(Kind::Contract { chain: Box::new(chain), clients, _running: running }, parties)
}

/// Whether a job of these terms may be offered.
fn may_be_offered(deal: &Deal) -> bool {
    deal.acceptance == Acceptance::Requester && deal.min_paid == Amount::ZERO && deal.audit.is_none()
}

/// Whether the rules take it as an opening.
fn is_sound(opening: &Opening) -> bool {
    let is_fingerprint = opening.fingerprint == FingerprintWord::VOID || opening.fingerprint.0[0] < 0x10;
    is_fingerprint && (opening.summary == SummaryWord::VOID || opening.summary.0[0] < 0x04)
}

impl Side {
    fn sign(
        &self,
        who: usize,
        (job, revision, event): (JobId, Digest, Event),
        place: (u64, Digest),
    ) -> SignedAction {
        let (sequence, seen) = place;
        let action = Action { job, revision, sequence, seen, event };
        SignedAction { signature: self.parties[who].key.sign(action.signing_digest(self.domain())), action }
    }

    /// Reads so many entries as the requester, and then as these parties what it read last.
    async fn all_read(&mut self, count: usize, others: &[usize]) -> Digest {
        for _ in 0..count {
            self.parties[REQUESTER].read_one().await;
        }
        let newest = self.parties[REQUESTER].read.last().unwrap().entry;
        for who in others {
            self.parties[*who].read_until(newest).await;
        }
        newest
    }

    /// Offers a job, and brings it to its verdict by what its nodes sign: three transactions.
    async fn run_whole(&mut self, submission: &Submission, seats: &[(usize, Opening)], price: Amount) {
        let step =
            Step { who: REQUESTER, job: usize::MAX, knows_deal: true, act: Act::Submit(submission.clone()) };
        let (job, revision, event) = self.event(&step);
        let of_job = |event| (job, revision, event);
        let first = self.sign(REQUESTER, of_job(event), (0, Digest::ZERO));
        let requester = Arc::clone(&self.parties[REQUESTER].scheduler);
        let mut submitted = JoinSet::from_iter([async move { requester.submit(first).await }]);
        // The offer, under a name that says until when a bid for it is valid.
        self.parties[REQUESTER].read_one().await;
        let offer = self.parties[REQUESTER].read.last().unwrap().entry;
        for (who, _) in seats {
            while self.parties[*who].job(job).is_none() {
                self.parties[*who].read_one().await;
            }
            let bid = self.sign(*who, of_job(Event::BidPlaced { price }), (0, offer));
            timeout(PATIENCE, self.parties[*who].scheduler.submit(bid)).await.unwrap().unwrap();
            self.parties[REQUESTER].read_one().await;
        }
        let accept = |(sequence, (who, _)): (u64, &(usize, Opening))| {
            self.sign(REQUESTER, of_job(Event::BidAccepted { node: self.id(*who) }), (sequence, offer))
        };
        let accepted = self.parties[REQUESTER].scheduler.submit_all((1..).zip(seats).map(accept).collect());
        timeout(PATIENCE, accepted).await.unwrap().unwrap();
        timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        let bidders: Vec<usize> = seats.iter().map(|(who, _)| *who).collect();
        let mut newest = self.all_read(1 + 2 * seats.len(), &bidders).await;
        let commit = |(seat, (who, opening)): (u8, &(usize, Opening))| {
            let commitment = opening.commitment(self.domain(), job, seat, self.id(*who));
            (*who, self.sign(*who, of_job(Event::Committed { commitment }), (1, newest)))
        };
        let commitments: Vec<_> = (0..).zip(seats).map(commit).collect();
        self.hand_over(commitments).await;
        newest = self.all_read(seats.len(), &bidders).await;
        let open = |(seat, (who, opening)): (u8, &(usize, Opening))| {
            (*who, self.sign(*who, of_job(Event::Revealed { seat, opening: *opening }), (2, newest)))
        };
        let openings: Vec<_> = (0..).zip(seats).map(open).collect();
        self.hand_over(openings).await;
        newest = self.all_read(1, &bidders).await;
        let read = &self.parties[REQUESTER].read;
        assert_eq!(read.last().unwrap().stamped.event.kind(), EventKind::VerdictPosted);
        self.jobs.push(job);
        self.entries.insert(job, (newest, newest));
        let anchors = self.parties[REQUESTER].scheduler.anchors(job).await.unwrap();
        let transactions: BTreeMap<_, _> =
            anchors.iter().map(|anchor| (anchor.transaction, anchor.block)).collect();
        assert_eq!(transactions.len(), 3);
    }

    /// Has each of these acted by its author, who leaves it to whoever has those of all.
    async fn hand_over(&self, actions: Vec<(usize, SignedAction)>) {
        for (who, action) in actions {
            let sent = timeout(PATIENCE, self.parties[who].scheduler.submit(action)).await.unwrap();
            let is_under_way = matches!(&sent, Err(SubmitError::NotOrdered(BackendError::UnderWay { .. })));
            assert!(is_under_way || sent.as_ref().is_ok_and(|place| *place > Cursor(0)), "{sent:?}");
        }
    }

    /// The same step by step.
    async fn run_in_steps(&mut self, submission: &Submission, seats: &[(usize, Opening)], price: Amount) {
        let job = self.jobs.len();
        let mut acts = vec![(REQUESTER, Act::Submit(submission.clone()))];
        acts.extend(seats.iter().map(|(who, _)| (*who, Act::Plain(Event::BidPlaced { price }))));
        let accept =
            |(who, _): &(usize, Opening)| (REQUESTER, Act::Plain(Event::BidAccepted { node: self.id(*who) }));
        acts.extend(seats.iter().map(accept));
        let commit = |(seat, (who, opening)): (u8, &(usize, Opening))| {
            (*who, Act::Commit { seat, result: Some(*opening) })
        };
        acts.extend((0..).zip(seats).map(commit));
        for (who, act) in acts {
            let step = Step { who, job, knows_deal: true, act };
            assert_eq!(self.take(&step).await, Answer::Taken, "{step:?}");
        }
        let openings: BTreeMap<u8, Opening> = (0..).zip(seats.iter().map(|(_, opening)| *opening)).collect();
        let accepted = rules::verdict_of(self.job(job).unwrap(), &openings).accepted;
        let openings = openings.into_iter().map(|(seat, opening)| SeatOpening { seat, opening }).collect();
        let act = Act::Plain(Event::VerdictPosted { openings, accepted });
        let verdict = Step { who: REQUESTER, job, knows_deal: true, act };
        assert_eq!(self.take(&verdict).await, Answer::Taken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_three_transactions_end_as_those_that_go_step_by_step() {
    // Side by side: nodes ask the contract for a requester's money a few times a second at most, so each takes seconds.
    join_all((9..13).map(|seed| end_alike(seed, 1))).await;
}

/// Random jobs of this seed, on both.
async fn end_alike(seed: u64, jobs: usize) {
    let keys = keys(seed);
    let ids: Vec<NodeId> = keys.iter().map(NodeKey::node_id).collect();
    let mut contract = signed(&keys).await;
    let mut local = Side::local(&keys, contract.domain());
    let now = START.plus(assay::domain::Span::from_secs(60));
    for side in [&contract, &local] {
        side.set_now(now).await;
        for who in 0..STRANGER {
            side.deposit(who, Amount::new(100_000).unwrap()).await;
        }
    }
    let mut script = Script::new(seed, ids.clone(), true);
    for number in 0..jobs {
        let deal = loop {
            let deal = script.deal();
            if may_be_offered(&deal) {
                break deal;
            }
        };
        // The contract gives the lowest address the first seat.
        let mut bidders: Vec<usize> = (1..NODES).collect();
        bidders.sort_by_key(|who| ids[*who]);
        let mut seats = Vec::new();
        for who in bidders.into_iter().take(deal.concurrency.into()) {
            let opening = loop {
                let opening = script.result(deal.method);
                if is_sound(&opening) {
                    break opening;
                }
            };
            seats.push((who, opening));
        }
        let price = deal.price;
        let submission = script.submission(deal, None);
        local.run_in_steps(&submission, &seats, price).await;
        contract.run_whole(&submission, &seats, price).await;
        assert_eq!(
            contract.view(number, now),
            local.view(number, now),
            "seed {seed}, job {number}: {submission:?}"
        );
        let (Kind::Local(log), Kind::Contract { chain, .. }) = (&local.kind, &contract.kind) else {
            panic!("one of each")
        };
        stored::same_money(chain, &log.ledger(), &ids);
    }
}
