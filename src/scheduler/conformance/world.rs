//! Parties acting on one job, each by what its own reading of the log tells it.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    domain::{
        Action, Deal, Digest, Event, FingerprintWord, Job, JobId, JobState, NodeId, Opening, SignedAction,
        Span, Spec, Timestamp,
    },
    identity::NodeKey,
    rules::{Ledger, Rejection},
    scheduler::{
        BackendError, Cursor, EnvelopeRefusal, EventStream, LogItem, LogUpdate, Scheduler, SubmitError,
    },
};
use futures::StreamExt;
use tokio::task::JoinSet;

use super::START;

/// Longest wait for something that has to come; far above what any backend takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the suite needs of a backend beyond its schedulers; dropped with the world.
pub trait Backend: fmt::Debug {
    /// Sets the clock that the log's deadlines are judged by; it never goes back.
    fn set_now(&self, now: Timestamp);

    /// Whether a node's way into the log always holds all of it, so that it can tell which jobs there are not.
    fn holds_every_job(&self) -> bool {
        false
    }

    /// Whether the requester orders the log, so that a verdict brings no opening that its node did not reveal.
    fn ordered_by_requester(&self) -> bool {
        false
    }

    /// Lets nodes hand to each other what they sign, or keeps them from it; whether there is such a way beside the log.
    ///
    /// Where there is one, the suite runs jobs by it: they are offered, and enter the log with their bids.
    fn set_handing_over(&self, _allowed: bool) -> bool {
        false
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("id", &self.id())
            .field("read", &self.read.len())
            .finish_non_exhaustive()
    }
}

/// A key, a way into the log, and what was read there so far.
pub struct Party {
    /// What it signs with.
    pub key: NodeKey,
    /// Its way into the log.
    pub scheduler: Arc<dyn Scheduler>,
    updates: EventStream,
    /// What it has read so far.
    pub read: Vec<LogItem>,
    ledger: Ledger,
}

impl Party {
    /// A party that has read nothing yet.
    pub fn new(scheduler: impl Scheduler, key: NodeKey) -> Self {
        let scheduler: Arc<dyn Scheduler> = Arc::new(scheduler);
        let (updates, ledger) = (scheduler.events(Cursor(0)), Ledger::new(scheduler.domain()));
        Self { key, scheduler, updates, read: Vec::new(), ledger }
    }

    /// Who it is.
    pub fn id(&self) -> NodeId {
        self.key.node_id()
    }

    /// A job as this party has read it.
    pub fn job(&self, job: JobId) -> Option<&Job> {
        self.ledger.get(job)
    }

    /// Reads the next entry.
    ///
    /// # Panics
    /// When it does not come in time, or breaks the rules.
    pub async fn read_one(&mut self) {
        let item = loop {
            match next_update(&mut self.updates).await {
                LogUpdate::Entry(item) => break *item,
                LogUpdate::Forgotten(job) => self.forget_offer(job),
                LogUpdate::CaughtUp | LogUpdate::Rewound { .. } => {}
            }
        };
        self.ledger.apply(&item.stamped).expect("an entry of the log obeys the rules");
        self.ledger.assert_invariants();
        self.read.push(item);
    }

    /// An offer is over: the log has the job by now, or will not have it so. Of a job that ended nothing is forgotten here.
    fn forget_offer(&mut self, job: JobId) {
        if self.ledger.get(job).is_some_and(|job| !job.state.is_terminal()) {
            self.read.retain(|item| item.stamped.job != job);
            self.ledger.forget(job);
        }
    }

    /// Reads on until this party holds entry `entry`.
    pub async fn read_until(&mut self, entry: Digest) {
        while !self.read.iter().any(|item| item.entry == entry) {
            self.read_one().await;
        }
    }
}

/// What a reader is told next.
pub(super) async fn next_update(updates: &mut EventStream) -> LogUpdate {
    let update = tokio::time::timeout(PATIENCE, updates.next()).await;
    update.expect("the next update comes in time").expect("the log goes on").expect("the log is whole")
}

/// A backend under test, and the parties that act in it.
#[derive(Debug)]
pub struct World {
    backend: Box<dyn Backend>,
    pub(super) parties: Vec<Party>,
    now: Timestamp,
    pub(super) job: JobId,
}

/// The requester's place among the parties; 1 to 4 are nodes.
pub(super) const REQUESTER: usize = 0;
pub(super) const STRANGER: usize = 5;

impl World {
    /// The world of a suite; `parties` are [`PARTIES`](super::PARTIES).
    pub fn new(backend: Box<dyn Backend>, parties: Vec<Party>) -> Self {
        Self { backend, parties, now: START, job: JobId::ZERO }
    }

    pub(super) fn id(&self, who: usize) -> NodeId {
        self.parties[who].id()
    }

    /// The job as the requester has read it.
    pub(super) fn job(&self) -> &Job {
        self.parties[REQUESTER].ledger.get(self.job).expect("the job was submitted")
    }

    /// The job as `who` has read it.
    pub(super) fn job_of(&self, who: usize) -> &Job {
        self.parties[who].ledger.get(self.job).expect("this party follows the job")
    }

    pub(super) fn wait_until(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        self.backend.set_now(self.now);
    }

    /// What `who` would sign now, by what it has read.
    pub(super) fn sign(&self, who: usize, event: Event) -> SignedAction {
        let party = &self.parties[who];
        let mut of_job = party.read.iter().filter(|item| item.stamped.job == self.job);
        let own = of_job.clone().filter(|item| item.stamped.author == party.id()).count();
        let job = party.ledger.get(self.job);
        let revision = match (&event, job) {
            (Event::Submitted { deal, .. }, None) => deal.revision(),
            (_, job) => job.map_or(Digest::ZERO, |job| job.revision),
        };
        let action = Action {
            job: self.job,
            revision,
            sequence: u64::try_from(own).expect("a count of entries fits 64 bits"),
            seen: of_job.next_back().map_or(Digest::ZERO, |item| item.entry),
            event,
        };
        self.resign(who, action)
    }

    pub(super) fn resign(&self, who: usize, action: Action) -> SignedAction {
        let party = &self.parties[who];
        let signature = party.key.sign(action.signing_digest(party.scheduler.domain()));
        SignedAction { action, signature }
    }

    pub(super) async fn send(&self, who: usize, action: SignedAction) -> Result<Cursor, SubmitError> {
        let sent = tokio::time::timeout(PATIENCE, self.parties[who].scheduler.submit(action)).await;
        sent.expect("an action is answered in time")
    }

    /// As [`Self::send`]. A step that waits to be taken with those of all seats waits for them in vain until its node takes it
    /// alone, in the middle of the phase.
    async fn send_in_the_end(&mut self, who: usize, action: SignedAction) -> Result<Cursor, SubmitError> {
        let sent = self.send(who, action.clone()).await;
        if !is_under_way(&sent) {
            return sent;
        }
        let job = self.job();
        let end = if job.state == JobState::Running { job.commit_by } else { job.reveal_by };
        // The chain may be some seconds ahead of this clock.
        let begun = job.seats_changed_at;
        self.wait_until(begun.plus(Span::from_secs(end.since(begun).as_secs() / 2 + 1)));
        let party = &self.parties[who];
        let seen = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while party.scheduler.now().await.is_ok_and(|now| now < self.now) {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("a backend sees that time goes on");
        self.send(who, action).await
    }

    /// `who` acts, and everybody who follows the job reads that it did.
    pub(super) async fn act(&mut self, who: usize, event: Event) {
        let kind = event.kind();
        let before = self.parties[REQUESTER].read.len();
        let action = self.sign(who, event);
        self.send_in_the_end(who, action).await.unwrap_or_else(|error| panic!("{kind:?} by {who}: {error}"));
        self.parties[REQUESTER].read_one().await;
        let item = self.parties[REQUESTER].read[before].clone();
        assert_eq!((item.stamped.author, item.stamped.event.kind()), (self.id(who), kind));
        self.spread(item.entry).await;
    }

    /// Everybody who has acted in the job reads up to `entry`.
    async fn spread(&mut self, entry: Digest) {
        let of_job = self.parties[REQUESTER].read.iter().filter(|item| item.stamped.job == self.job);
        let followers: Vec<NodeId> = of_job.map(|item| item.stamped.author).collect();
        for party in self.parties.iter_mut().skip(1).filter(|party| followers.contains(&party.id())) {
            party.read_until(entry).await;
        }
    }

    /// `who` tries to act and the rules say no.
    pub(super) async fn refused(&mut self, who: usize, event: Event, rejection: Rejection) {
        let kind = event.kind();
        let answer = self.send(who, self.sign(who, event)).await;
        assert_eq!(answer, Err(SubmitError::Rejected(rejection)), "{kind:?} by {who}");
    }

    /// `who` tries to bring openings that are not in the log: the rules say no, or the log itself does.
    pub(super) async fn openings_refused(&mut self, who: usize, event: Event, rejection: Rejection) {
        let expected = if self.backend.ordered_by_requester() {
            SubmitError::Refused(EnvelopeRefusal::NotRevealed)
        } else {
            SubmitError::Rejected(rejection)
        };
        assert_eq!(self.send(who, self.sign(who, event)).await, Err(expected));
    }

    /// How an action on a job that nobody submitted is answered: that it is not, or that it may be yet to come.
    pub(super) fn unknown_job(&self) -> SubmitError {
        if self.backend.holds_every_job() {
            SubmitError::Rejected(Rejection::NoSuchJob)
        } else {
            SubmitError::NotOrdered(BackendError::UnknownLog { job: self.job })
        }
    }

    pub(super) fn takes_openings_with_the_verdict(&self) -> bool {
        !self.backend.ordered_by_requester()
    }

    pub(super) fn submission(&mut self, deal: Deal) -> SignedAction {
        let document = Spec::sample().to_document();
        let requester = self.id(REQUESTER);
        let domain = self.parties[REQUESTER].scheduler.domain();
        self.job = domain.job_id(requester, 0, Spec::hash_document(&document), deal.revision());
        self.sign(REQUESTER, Event::Submitted { deal, spec: document, nonce: 0 })
    }

    /// Submits a job that has no bids yet; every party hears of it.
    pub(super) async fn submit(&mut self, deal: Deal) {
        self.backend.set_handing_over(false);
        let action = self.submission(deal);
        self.send(REQUESTER, action).await.expect("a valid job is taken");
        self.parties[REQUESTER].read_one().await;
        let entry = self.parties[REQUESTER].read[0].entry;
        for party in &mut self.parties {
            party.read_until(entry).await;
        }
    }

    /// Offers a job to nodes 1 to 3, and brings it into the log with their bids. Where there is such a way, their ids ascend.
    async fn run_offered(&mut self, deal: Deal) {
        let action = self.submission(deal);
        let requester = Arc::clone(&self.parties[REQUESTER].scheduler);
        let mut submitted = JoinSet::from_iter([async move { requester.submit(action).await }]);
        for party in &mut self.parties {
            party.read_one().await;
        }
        for node in 1..=3 {
            let bid = self.sign(node, Event::BidPlaced { price: Default::default() });
            self.send(node, bid).await.expect("a bid for an offer is taken");
            self.parties[node].read_one().await;
            self.parties[REQUESTER].read_one().await;
        }
        let accept = |node: u64| {
            let node = usize::try_from(node).expect("a small number");
            let signed = self.sign(REQUESTER, Event::BidAccepted { node: self.id(node) });
            let sequence = signed.action.sequence + u64::try_from(node).expect("a small number") - 1;
            self.resign(REQUESTER, Action { sequence, ..signed.action })
        };
        let accepted = self.parties[REQUESTER].scheduler.submit_all((1..=3).map(accept).collect());
        let accepted = tokio::time::timeout(PATIENCE, accepted).await.expect("an acceptance is answered");
        accepted.expect("bids are accepted");
        let submitted = submitted.join_next().await.expect("it was begun").expect("a submission ends");
        submitted.expect("the job is in the log");
        // The submission, and each bid with its acceptance.
        for _ in 0..7 {
            self.parties[REQUESTER].read_one().await;
        }
        let newest = self.parties[REQUESTER].read[6].entry;
        for party in &mut self.parties {
            party.read_until(newest).await;
        }
    }

    /// Submits, lets nodes 1 to 3 bid and seats them in that order.
    pub(super) async fn run(&mut self, deal: Deal) {
        if self.backend.set_handing_over(true) {
            return self.run_offered(deal).await;
        }
        self.submit(deal).await;
        for node in 1..=3 {
            self.act(node, Event::BidPlaced { price: Default::default() }).await;
        }
        for node in 1..=3 {
            self.act(REQUESTER, Event::BidAccepted { node: self.id(node) }).await;
        }
    }

    pub(super) fn commitment(&self, who: usize, seat: u8) -> Event {
        let domain = self.parties[who].scheduler.domain();
        Event::Committed { commitment: opening(seat).commitment(domain, self.job, seat, self.id(who)) }
    }

    pub(super) async fn commit_all(&mut self) {
        if self.backend.set_handing_over(true) {
            return self.commit_together().await;
        }
        for seat in 0..3 {
            let who = usize::from(seat) + 1;
            self.act(who, self.commitment(who, seat)).await;
        }
    }
}

impl World {
    /// All seats hand their commitments over, and the requester brings them into the log at once.
    async fn commit_together(&mut self) {
        for seat in 0..3 {
            let who = usize::from(seat) + 1;
            let sent = self.send(who, self.sign(who, self.commitment(who, seat))).await;
            assert!(is_under_way(&sent) || sent.is_ok(), "{sent:?}");
        }
        for _ in 0..3 {
            self.parties[REQUESTER].read_one().await;
        }
        let newest = self.parties[REQUESTER].read.last().expect("there are entries").entry;
        self.spread(newest).await;
    }
}

fn is_under_way(sent: &Result<Cursor, SubmitError>) -> bool {
    matches!(sent, Err(SubmitError::NotOrdered(BackendError::UnderWay { .. })))
}

/// Seats 0 and 1 agree; seat 2 has another output, memory and CPU time.
pub(super) fn opening(seat: u8) -> Opening {
    let lies = seat == 2;
    Opening {
        result_hash: Digest::new([if lies { 2 } else { 1 }; 32]),
        output_root: Digest::new([3; 32]),
        fingerprint: FingerprintWord([if lies { 1 } else { 0 }; 32]),
        ..Opening::sample(seat)
    }
}
