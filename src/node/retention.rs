//! Deletes what ended jobs left, once `policy::retention` says that nobody needs it, and says what takes how much.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use super::{Node, NodeError, RequestError, past::content_of, wall_clock};
use crate::{
    domain::{Digest, Job, JobId, NodeId, SeatStatus, Timestamp},
    explain::one_line,
    policy::{
        job::takes_part,
        over::over_at,
        retention::{AT_LEAST, Forgettable, Keep, Kind, Stored, Use, Why, due, may_forget, only_of},
    },
    store::{Content, JobContent, KeptContent},
};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(600);

/// Most jobs whose logs go at a time.
const BATCH: u32 = 10_000;

/// How long a job that has just ended may take to leave memory before a user hears that it is still there.
const LEAVES: Duration = Duration::from_secs(20);

/// Content that went, or would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) digest: Digest,
    pub(crate) kind: Kind,
    pub(crate) why: Why,
    pub(crate) bytes: u64,
}

/// What went, or would go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pruned {
    pub(crate) content: Vec<Gone>,
    /// Jobs whose logs go.
    pub(crate) jobs: Vec<JobId>,
}

/// What content of one kind takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) pieces: u64,
    pub(crate) bytes: u64,
    /// When the first of it goes.
    pub(crate) next: Option<Timestamp>,
}

/// What takes how much of a node's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) content: BTreeMap<Kind, Part>,
    /// The most that content may take.
    pub(crate) cap: u64,
    /// Jobs that ended, whose logs are on the disk alone.
    pub(crate) ended: usize,
    pub(crate) database: u64,
    pub(crate) database_free: u64,
    pub(crate) keep: Keep,
}

/// Content of one job that was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forgotten {
    pub(crate) pieces: usize,
    pub(crate) bytes: u64,
}

/// Prunes regularly until the node stops.
pub(crate) async fn retain(node: Arc<Node>) -> Result<(), NodeError> {
    // What live jobs need is known only once their logs were read.
    if node.stop.run_until_cancelled(node.caught_up()).await.is_none() {
        return Ok(());
    }
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let Some(pruned) = node.stop.run_until_cancelled(Arc::clone(&node).prune(false)).await else {
            return Ok(());
        };
        if let Err(error) = pruned {
            warn!(error = %one_line(&error), "cannot delete what nobody needs any more; the next look retries");
        }
    }
}

impl Node {
    /// Deletes what nobody needs any more, or only says what that is.
    pub(crate) async fn prune(self: Arc<Self>, is_dry_run: bool) -> Result<Pruned, RequestError> {
        let pruned = spawn_blocking(move || self.prune_now(is_dry_run)).await;
        pruned.expect("pruning returns its errors")
    }

    /// What takes how much.
    pub(crate) async fn usage(self: Arc<Self>) -> Result<Usage, RequestError> {
        let usage = spawn_blocking(move || self.usage_now()).await;
        usage.expect("adding up returns its errors")
    }

    /// Deletes an ended job: its log, and content that no other job uses.
    pub(crate) async fn forget_job(self: Arc<Self>, job: JobId) -> Result<Forgotten, RequestError> {
        if let Some(mut changed) = self.board.watch(job).filter(|_| self.has_ended(job)) {
            let left = async { while changed.changed().await.is_ok() {} };
            let _stays = timeout(LEAVES, left).await.is_err();
        }
        let forgotten = spawn_blocking(move || self.forget_now(job)).await;
        forgotten.expect("forgetting returns its errors")
    }

    fn has_ended(&self, job: JobId) -> bool {
        self.board.read(job, |job| job.state.is_terminal()).unwrap_or_default()
    }

    fn prune_now(&self, is_dry_run: bool) -> Result<Pruned, RequestError> {
        let (keep, now) = (self.config.keep, self.now());
        let stored = self.stored()?;
        let mut content = Vec::new();
        let due = due(&stored, &keep, now);
        for stored in stored {
            if let Some(why) = due.get(&stored.digest) {
                let kind = stored.kind(&keep);
                content.push(Gone { digest: stored.digest, kind, why: *why, bytes: stored.bytes });
            }
        }
        let jobs = self.forgettable(self.records.ended.before(keep.logs_before(now), BATCH)?);
        if is_dry_run {
            return Ok(Pruned { content, jobs });
        }
        let (shelf, before) = (self.shelf.content(), not_since());
        let mut gone = Vec::new();
        for content in content {
            if let Some(bytes) = shelf.remove(content.digest, before)? {
                gone.push(Gone { bytes, ..content });
            }
        }
        let jobs = self.records.ended.forget(&jobs)?;
        self.board.forget_past();
        if !(gone.is_empty() && jobs.is_empty()) {
            let bytes: u64 = gone.iter().map(|gone| gone.bytes).sum();
            info!(content = gone.len(), bytes, logs = jobs.len(), "deleted what nobody needs any more");
        }
        Ok(Pruned { content: gone, jobs })
    }

    fn usage_now(&self) -> Result<Usage, RequestError> {
        let keep = self.config.keep;
        let mut content: BTreeMap<Kind, Part> = BTreeMap::new();
        for stored in self.stored()? {
            let part = content.entry(stored.kind(&keep)).or_default();
            part.pieces += 1;
            part.bytes += stored.bytes;
            part.next = part.next.into_iter().chain(stored.until(&keep)).min();
        }
        let shelf = self.shelf.content();
        let ((database, database_free), (_, cap)) = (shelf.database_bytes()?, shelf.filled());
        let ended = self.records.ended.states([])?.values().sum();
        Ok(Usage { content, cap, ended, database, database_free, keep })
    }

    fn forget_now(&self, job: JobId) -> Result<Forgotten, RequestError> {
        let known = self.known_job(job)?;
        let needed = |why: String| RequestError::Needed { job, why };
        if !known.state.is_terminal() {
            return Err(needed(format!("it is {}", known.state)));
        }
        if !self.records.ended.contains(job)? {
            return Err(needed("this node still works on its end".to_owned()));
        }
        let owes_result = known.requester != self.me.id
            && known
                .seats
                .iter()
                .any(|seat| seat.node == self.me.id && matches!(seat.status, SeatStatus::Revealed(_)));
        if let Forgettable::Owed(until) = may_forget(known.ended_at, owes_result, self.now()) {
            let left = until.since(self.now()).as_secs().div_ceil(3600);
            return Err(needed(format!("its requester may fetch this node's result for {left} more hours")));
        }
        if self.forgettable(vec![job]).is_empty() {
            return Err(needed("another job follows it up".to_owned()));
        }
        let mut uses: BTreeMap<Digest, BTreeSet<JobId>> = BTreeMap::new();
        let (kept, live) = (self.shelf.content().kept()?, self.live_uses());
        for content in kept.iter().filter(|kept| !kept.is_of_live_run && !live.contains_key(&kept.digest)) {
            uses.entry(content.digest).or_default().extend(content.uses.iter().map(|one| one.job));
        }
        let mut forgotten = Forgotten { pieces: 0, bytes: 0 };
        let only = only_of(&BTreeSet::from([job]), &uses);
        self.records.ended.forget(&[job])?;
        self.board.forget_past();
        for digest in only {
            if let Some(bytes) = self.shelf.content().remove(digest, not_since())? {
                forgotten = Forgotten { pieces: forgotten.pieces + 1, bytes: forgotten.bytes + bytes };
            }
        }
        info!(%job, pieces = forgotten.pieces, bytes = forgotten.bytes, "job forgotten");
        Ok(forgotten)
    }

    /// Those of these ended jobs that no job in memory follows up: a log cannot be folded without that of its parent.
    fn forgettable(&self, jobs: Vec<JobId>) -> Vec<JobId> {
        let parents: BTreeSet<JobId> =
            self.board.read_all(|job| job.deal.parent).into_iter().flatten().collect();
        let is_free =
            |job: &JobId| !parents.contains(job) && matches!(self.records.ended.child_of(*job), Ok(None));
        jobs.into_iter().filter(is_free).collect()
    }

    /// What jobs in memory use. Of a job that this node has no part in, which costs a stranger an announcement, nothing is
    /// held for its sake.
    fn live_uses(&self) -> BTreeMap<Digest, Vec<Use>> {
        let mut uses: BTreeMap<Digest, Vec<Use>> = BTreeMap::new();
        let (me, now) = (self.me.id, self.now());
        let parents: BTreeSet<JobId> =
            self.board.read_all(|job| job.deal.parent).into_iter().flatten().collect();
        let of = |job: &Job| {
            let over_at = over_at(job, me, now, parents.contains(&job.id));
            if over_at.is_none() && !takes_part(job, me) {
                return Vec::new();
            }
            let JobContent { inputs, results, .. } = content_of(job);
            let one = |kind| over_at.map_or(Use::Live, |at| Use::Ended { kind, at });
            let (input, result) = (one(Kind::Input), one(kind_of_result(job.requester, me)));
            let inputs = inputs.into_iter().map(move |digest| (digest, input));
            inputs.chain(results.into_iter().map(move |digest| (digest, result))).collect::<Vec<_>>()
        };
        for (digest, one) in self.board.read_all(of).into_iter().flatten() {
            uses.entry(digest).or_default().push(one);
        }
        uses
    }

    /// All content, and who needs it. Blocks.
    fn stored(&self) -> Result<Vec<Stored>, RequestError> {
        // Jobs leave memory for the disk: whoever leaves it in between is seen twice, and never missed.
        let mut live = self.live_uses();
        let kept = Content::kept(self.shelf.content())?;
        let (now, wall) = (self.now(), wall_clock());
        let stored = |kept: KeptContent| {
            let KeptContent { digest, bytes, stored_at, uses, is_of_live_run } = kept;
            let stored_at = stored_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            // On the clock of the log, which may be another.
            let since = now.minus(wall.since(Timestamp::from_secs(stored_at.as_secs())));
            let ended = uses.into_iter().map(|one| match (one.awaits_own_run, one.is_result) {
                (true, _) => Use::Live,
                (false, true) => {
                    Use::Ended { kind: kind_of_result(one.requester, self.me.id), at: one.ended_at }
                }
                (false, false) => Use::Ended { kind: Kind::Input, at: one.ended_at },
            });
            let run = is_of_live_run.then_some(Use::Live);
            let uses = ended.chain(run).chain(live.remove(&digest).unwrap_or_default()).collect();
            Stored { digest, bytes, since, uses }
        };
        Ok(kept.into_iter().map(stored).collect())
    }
}

fn kind_of_result(requester: NodeId, me: NodeId) -> Kind {
    if requester == me { Kind::OwnResult } else { Kind::Result }
}

/// Content that was stored after this time stays, whatever was decided before.
fn not_since() -> SystemTime {
    let secs = wall_clock().minus(AT_LEAST).as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
}
