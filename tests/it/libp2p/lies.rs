//! Peers that lie: what they send is refused, counted and remembered, and nothing of it is followed.

use std::sync::Arc;

use assay::{
    domain::{Action, Chunk, ChunkRequest, Digest, Event, JobId, LogDomain, NodeId, SignedAction, Span},
    identity::NodeKey,
    network::{BlobDenied, BlobSource, FetchError, NoBlobs, RequestError, WireBytes},
    scheduler::{
        BackendError, LogOrder, Scheduler, SubmitError,
        libp2p::{
            announce::Announcement,
            entry::Entry,
            sequence::{Place, Sequencer},
            wire::{self, LogRequest, LogResponse},
        },
    },
};

use super::{
    deal,
    node::{Node, Setup, TestClock, bid, commitment, submission},
    stranger::Stranger,
};

/// The requester's own next action in a log that it orders by hand.
fn own(stranger: &Stranger, sequencer: &Sequencer, event: Event) -> SignedAction {
    let job_log = sequencer.job_log();
    let action = Action {
        job: job_log.job().id,
        revision: job_log.job().revision,
        sequence: job_log.next_sequence(stranger.id()),
        seen: job_log.head(),
        event,
    };
    SignedAction { signature: stranger.key.sign(action.signing_digest(LogDomain::default())), action }
}

fn append(stranger: &Stranger, sequencer: &mut Sequencer, clock: &TestClock, event: Event) -> Entry {
    match sequencer.append(clock.now(), own(stranger, sequencer, event)) {
        Ok(Place::New(entry)) => *entry,
        other => panic!("{other:?}"),
    }
}

async fn announce(stranger: &Stranger, sequencer: &Sequencer) -> Digest {
    let entry = sequencer.job_log().entries_after(0)[0].clone();
    let hash = entry.hash(LogDomain::default());
    let addresses = stranger.network.status().borrow().listening.clone();
    stranger.network.publish(Announcement { entry, addresses }.encode()).await.unwrap();
    hash
}

#[tokio::test]
async fn bad_announcements_are_refused_and_cost_the_sender_its_standing() {
    let clock = TestClock::new();
    let mut node = Node::start(Setup::new(&clock, &[])).await;
    let stranger = Stranger::join(&node.address().await, Arc::new(NoBlobs)).await;
    node.network_is(|status| !status.subscribed.is_empty()).await;
    assert_eq!(node.network().score(stranger.id()).await, Some(0.0));

    let other = NodeKey::generate().unwrap();
    let domain = LogDomain::default();
    let foreign = Sequencer::open(other.clone(), domain, None, clock.now(), submission(&other, deal(), 0));
    let foreign = foreign.unwrap().job_log().entries_after(0)[0].clone();
    let mut stolen = foreign.clone();
    stolen.signature = stranger.key.sign(stolen.hash(domain));
    let bad = [foreign, stolen].map(|entry| Announcement { entry, addresses: Vec::new() }.encode());
    for data in bad.into_iter().chain([vec![1; 52 * 1024]]) {
        stranger.network.publish(data).await.unwrap();
    }
    let status = node.network_is(|status| status.counters.announcements_rejected == 3).await;
    assert_eq!(status.counters.announcements_accepted, 0);
    let score = node.network().score(stranger.id()).await.unwrap();
    assert!(score < -40.0, "three invalid messages cost a peer its standing: {score}");
    assert!(stranger.network.publish(vec![0; 1 << 20]).await.is_err(), "too large to be sent at all");

    // Nothing of it is in the log: the first entry is the node's own.
    let (job, _) = node.submit(deal(), 0).await;
    assert_eq!((node.read.len(), node.read[0].stamped.job), (1, job));
}

#[tokio::test]
async fn a_stale_announcement_is_ignored_and_nobody_is_blamed() {
    let clock = TestClock::new();
    let node = Node::start(Setup::new(&clock, &[])).await;
    let stranger = Stranger::join(&node.address().await, Arc::new(NoBlobs)).await;
    node.network_is(|status| !status.subscribed.is_empty()).await;
    let stale = stranger.sequencer(clock.now(), submission(&stranger.key, deal(), 0));
    let ahead = clock.now().plus(deal().open).plus(Span::from_secs(1000));
    let ahead = stranger.sequencer(ahead, submission(&stranger.key, deal(), 1));
    clock.set(clock.now().plus(deal().open).plus(Span::from_secs(1)));
    announce(&stranger, &stale).await;
    announce(&stranger, &ahead).await;
    node.network_is(|status| status.counters.announcements_ignored == 2).await;
    assert_eq!(node.network().score(stranger.id()).await, Some(0.0));
}

#[tokio::test]
async fn hostile_requests_are_answered_and_change_nothing() {
    let clock = TestClock::new();
    let mut node = Node::start(Setup::new(&clock, &[])).await;
    let stranger = Stranger::join(&node.address().await, Arc::new(NoBlobs)).await;
    let (job, _) = node.submit(deal(), 0).await;
    let ask = async |request| wire::ask(&stranger.network, node.id(), &request).await;
    let garbage = || WireBytes(vec![1; 4096]);
    let submit = LogRequest::Submit { action: garbage(), after_height: u64::MAX };
    assert_eq!(ask(submit).await, Ok(LogResponse::Malformed));
    assert_eq!(ask(LogRequest::Push { entries: vec![garbage()] }).await, Ok(LogResponse::Malformed));
    assert_eq!(ask(LogRequest::Witness { action: garbage() }).await, Ok(LogResponse::Malformed));
    let read = |job, after_height| LogRequest::Read { job, after_height };
    assert_eq!(ask(read(JobId::ZERO, 0)).await, Ok(LogResponse::Unknown));
    let beyond = ask(read(job, u64::MAX)).await;
    assert_eq!(beyond, Ok(LogResponse::Entries { height: 1, entries: Vec::new() }));
    let unreadable = stranger.network.request(node.id(), vec![0xff; 9]).await.unwrap();
    assert_eq!(LogResponse::decode(&unreadable), Some(LogResponse::Malformed));
    let oversized = ask(LogRequest::Push { entries: vec![WireBytes(vec![1; 1 << 20])] }).await;
    assert!(matches!(oversized, Err(RequestError::Failed(_))), "{oversized:?}");
    assert!(matches!(ask(read(job, 0)).await, Ok(LogResponse::Entries { height: 1, .. })));
}

#[tokio::test]
async fn two_histories_stop_a_node_and_a_third_party_cannot() {
    let clock = TestClock::new();
    let mut node = Node::start(Setup::new(&clock, &[])).await;
    let mut liar = Stranger::join(&node.address().await, Arc::new(NoBlobs)).await;
    let thief = Stranger::join(&node.address().await, Arc::new(NoBlobs)).await;
    let mut sequencer = liar.sequencer(clock.now(), submission(&liar.key, deal(), 0));
    let first = announce(&liar, &sequencer).await;
    node.read_until(first).await;
    let job = sequencer.job_log().job().id;
    let action = node.sign(job, bid());
    let (sent, ordered) = tokio::join!(node.send(action), liar.order_next(&mut sequencer, clock.now()));
    sent.unwrap();
    node.read_until(ordered.hash(LogDomain::default())).await;

    let mut fork = sequencer.clone();
    let one = append(&liar, &mut sequencer, &clock, Event::Cancelled);
    let two = append(&liar, &mut fork, &clock, Event::BidRejected { node: node.id() });
    let mut forged = one.clone();
    forged.signature = thief.key.sign(forged.hash(LogDomain::default()));
    thief.push(node.id(), &forged).await;
    assert_eq!(node.scheduler.counters().entries_forged, 1);
    let sound = LogOrder::Requester { clock_agrees: true, suspended: false };
    assert_eq!(node.scheduler.order(job), sound);

    // Whoever delivers it, what the requester signed counts.
    liar.push(node.id(), &two).await;
    node.read_until(two.hash(LogDomain::default())).await;
    thief.push(node.id(), &one).await;
    let suspended = LogOrder::Requester { clock_agrees: true, suspended: true };
    assert_eq!(node.scheduler.order(job), suspended);
    let answer = node.send(node.sign(job, Event::BidWithdrawn)).await;
    let expected = Err(SubmitError::NotOrdered(BackendError::BrokenLog {
        job,
        height: 3,
        reason: "its requester signed two entries at this height".to_owned(),
    }));
    assert_eq!(answer, expected);
}

/// Two nodes with a seat each in a job whose requester orders it by hand.
struct Seated {
    clock: TestClock,
    one: Node,
    two: Node,
    requester: Stranger,
    sequencer: Sequencer,
    job: JobId,
}

async fn seated() -> Seated {
    let clock = TestClock::new();
    let mut one = Node::start(Setup::new(&clock, &[])).await;
    let address = one.address().await;
    let mut two = Node::start(Setup::new(&clock, std::slice::from_ref(&address))).await;
    let mut requester = Stranger::join(&address, Arc::new(NoBlobs)).await;
    one.network_is(|status| status.subscribed.len() == 2).await;
    let mut sequencer = requester.sequencer(clock.now(), submission(&requester.key, deal(), 0));
    let first = announce(&requester, &sequencer).await;
    let job = sequencer.job_log().job().id;
    for node in [&mut one, &mut two] {
        node.read_until(first).await;
        let (sent, _) =
            tokio::join!(node.send(node.sign(job, bid())), requester.order_next(&mut sequencer, clock.now()));
        sent.unwrap();
    }
    for id in [one.id(), two.id()] {
        append(&requester, &mut sequencer, &clock, Event::BidAccepted { node: id });
    }
    for node in [&mut one, &mut two] {
        for entry in sequencer.job_log().entries_after(1) {
            requester.push(node.id(), entry).await;
        }
        node.read_until(sequencer.job_log().head()).await;
    }
    Seated { clock, one, two, requester, sequencer, job }
}

#[tokio::test]
async fn a_commitment_left_out_of_the_log_is_seen_by_the_other_seats() {
    let Seated { clock, one, mut two, requester: mut censor, mut sequencer, job } = seated().await;
    // The first seat commits, and the requester looks the other way.
    let action = one.sign(job, commitment(one.id(), job, 0));
    let censored = async {
        let (_, responder) = censor.next_action().await;
        responder.answer(LogResponse::Busy.encode()).await;
    };
    let (sent, ()) = tokio::join!(one.send(action), censored);
    assert!(matches!(sent, Err(SubmitError::NotOrdered(BackendError::Unreachable { .. }))), "{sent:?}");

    let past = sequencer.job_log().job().commit_by.plus(Span::from_secs(1));
    clock.set(past);
    let end = append(&censor, &mut sequencer, &clock, Event::Expired);
    censor.push(two.id(), &end).await;
    two.read_until(end.hash(LogDomain::default())).await;
    assert_eq!(two.scheduler.counters().actions_censored, 1);
}

#[tokio::test]
async fn seats_that_were_given_two_histories_find_out_from_each_other() {
    let Seated { clock, mut one, mut two, requester: mut liar, mut sequencer, job } = seated().await;
    let mut fork = sequencer.clone();
    let remark = |node: &Node| Event::Remarked { node: node.id(), remark: "slow".to_owned() };
    let for_one = append(&liar, &mut sequencer, &clock, remark(&one));
    let for_two = append(&liar, &mut fork, &clock, remark(&two));
    liar.push(one.id(), &for_one).await;
    liar.push(two.id(), &for_two).await;
    one.read_until(for_one.hash(LogDomain::default())).await;
    two.read_until(for_two.hash(LogDomain::default())).await;
    let sound = LogOrder::Requester { clock_agrees: true, suspended: false };
    assert_eq!([one.scheduler.order(job), two.scheduler.order(job)], [sound, sound]);

    let action = one.sign(job, commitment(one.id(), job, 0));
    let suspended = LogOrder::Requester { clock_agrees: true, suspended: true };
    let found_out = async {
        // The other node asks again and again, so that there is always a next one until it knows.
        while two.scheduler.order(job) != suspended {
            liar.refuse_next().await;
        }
    };
    let (sent, ()) = tokio::join!(one.send(action), found_out);
    assert!(sent.is_err());
}

/// Serves one piece of content, to one node.
#[derive(Debug)]
struct OneBlob {
    digest: Digest,
    to: NodeId,
}

impl BlobSource for OneBlob {
    fn read(&self, peer: NodeId, request: ChunkRequest) -> Result<Chunk, BlobDenied> {
        if (peer, request.digest) != (self.to, self.digest) {
            return Err(BlobDenied::NotFound);
        }
        // The second piece claims to lie beyond the end.
        Ok(Chunk { total_bytes: 1 << 20, bytes: vec![7; 1 << 20] })
    }
}

#[tokio::test]
async fn content_comes_in_pieces_from_who_has_it_and_only_to_whom_it_is_for() {
    let clock = TestClock::new();
    let (node, other) =
        (Node::start(Setup::new(&clock, &[])).await, Node::start(Setup::new(&clock, &[])).await);
    let digest = Digest::sha256("content");
    let blob = Arc::new(OneBlob { digest, to: node.id() });
    let holder = Stranger::join(&node.address().await, blob).await;
    node.network_is(|status| !status.connected.is_empty()).await;
    let request = ChunkRequest { job: JobId::ZERO, digest, offset: 0, length: 9999 };
    let chunk = node.network().fetch_chunk(holder.id(), request).await.unwrap();
    assert_eq!((chunk.total_bytes, chunk.bytes.len()), (1 << 20, 1 << 20));
    let beyond = node.network().fetch_chunk(holder.id(), ChunkRequest { offset: 1, ..request }).await;
    assert_eq!(beyond, Err(FetchError::Malformed));
    let none = ChunkRequest { digest: Digest::ZERO, ..request };
    let none = node.network().fetch_chunk(holder.id(), none).await;
    assert_eq!(none, Err(FetchError::Denied(BlobDenied::NotFound)));
    let nobody = other.network().fetch_chunk(holder.id(), request).await;
    assert_eq!(nobody, Err(FetchError::Request(RequestError::UnknownPeer(holder.id()))));
}
