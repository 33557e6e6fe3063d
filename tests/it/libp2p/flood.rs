//! Peers that send all they can: an honest one is heard all the same.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use assay::{
    network::{Multiaddr, PublishError},
    scheduler::libp2p::announce::Announcement,
};
use tokio::task::JoinSet;

use super::{
    deal,
    node::{Node, PATIENCE, Setup, TestClock, submission},
    stranger::Stranger,
};

/// Messages that a flooder has ready, to send them again and again.
const DIFFERENT: u64 = 40;

const FLOODERS: u64 = 8;

/// Most messages of others that an honest one waits for: half of what the flooders may have waiting.
const SOON: u64 = FLOODERS * 32;

/// What a flooder sends as its `nonce`-th message.
type Message = fn(&Stranger, &TestClock, u64) -> Vec<u8>;

/// A job of a requester that will never seat anybody.
fn idle_job(stranger: &Stranger, clock: &TestClock, nonce: u64) -> Vec<u8> {
    let job = stranger.sequencer(clock.now(), submission(&stranger.key, deal(), nonce));
    Announcement { entry: job.job_log().entries_after(0)[0].clone(), addresses: Vec::new() }.encode()
}

/// What looks like an announcement by its length and first byte.
fn junk(_: &Stranger, _: &TestClock, nonce: u64) -> Vec<u8> {
    let mut bytes = vec![1; 8 * 1024];
    bytes[8..16].copy_from_slice(&nonce.to_be_bytes());
    bytes
}

/// Peers that publish without a pause, for as long as this lives, and how much they have published.
struct Flood {
    sent: Arc<AtomicU64>,
    _flooders: JoinSet<()>,
}

impl Flood {
    async fn start(target: &Multiaddr, clock: &TestClock, count: u64, message: Message) -> Self {
        let (sent, mut flooders) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        for _ in 0..count {
            let stranger = Stranger::join_alone(target).await;
            let messages: Vec<_> = (0..DIFFERENT).map(|nonce| message(&stranger, clock, nonce)).collect();
            let sent = Arc::clone(&sent);
            flooders.spawn(async move {
                // All of it, or its driver would end here.
                let stranger = stranger;
                for message in messages.into_iter().cycle() {
                    match stranger.network.publish(message).await {
                        // Without a place in its own queues it sends as fast as it can.
                        Ok(()) | Err(PublishError::NotSent | PublishError::NobodyListens) => {}
                        Err(PublishError::TooLarge | PublishError::Stopped) => return,
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            });
        }
        Self { sent, _flooders: flooders }
    }

    async fn has_sent(&self, messages: u64) {
        let sent = async {
            while self.sent.load(Ordering::Relaxed) < messages {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.expect("the flood flows");
    }
}

/// Has an honest requester join a node under a flood, and says how much of the flood the node looked at before it took the
/// first honest job.
async fn looked_at_before_an_honest_job(message: Message) -> u64 {
    let clock = TestClock::new();
    let mut node = Node::start(Setup::new(&clock, &[])).await;
    let address = node.address().await;
    let flood = Flood::start(&address, &clock, FLOODERS, message).await;
    flood.has_sent(4 * FLOODERS * DIFFERENT).await;
    let mut honest = Node::start(Setup::new(&clock, &[address])).await;
    honest.network_is(|status| !status.subscribed.is_empty()).await;
    let status = node.network().status();
    let looked_at = || {
        let counters = status.borrow().counters;
        counters.announcements_accepted + counters.announcements_rejected + counters.announcements_ignored
    };
    let before = looked_at();
    let (_, first) = honest.submit(deal(), 0).await;
    node.read_until(first).await;
    looked_at() - before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_signed_jobs_keeps_no_honest_job_out() {
    let looked_at = looked_at_before_an_honest_job(idle_job).await;
    assert!(looked_at <= SOON, "{looked_at} others came first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_junk_keeps_no_honest_job_out() {
    let looked_at = looked_at_before_an_honest_job(junk).await;
    assert!(looked_at <= SOON, "{looked_at} others came first");
}
